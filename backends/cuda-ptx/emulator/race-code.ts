/**
 * Who wrote and read each word of shared memory last, by the clocks of warps (after FastTrack: Flanagan and
 * Freund, PLDI 2009): an access races with one of another warp that its own warp has not heard of by a
 * barrier, and with one of another lane since the warp last met at one.
 *
 * Each warp has a row of clocks: what it has heard of each other's. Of each word there are 32-bit records,
 * `clock << 10 | bytes << 6 | lane`: the last write, and the last read of each warp. Lanes that use the same
 * bytes of a word are `several`; who uses others is `mixed` with them, of which within the warp a race is
 * told only where one uses all of them. Records of one kind lie together, so that four words that follow each
 * other are looked at at once.
 */
import type { Expression, FunctionCode } from '../../wasm/code.ts';
import { allOf, CodeBuilder, load, wordAt } from './code-builder.ts';
import { choose, i32, laneOf, run, words } from './code-text.ts';
import { header } from './layout.ts';

/** A row has a clock for each warp of a block. */
export const clockRowBytes = 4 * 32;
const severalLanes = 32;
const mixedLanes = 33;

/** With a word for every word of shared memory: writers, their writes, and the reads of each warp. */
const rows = { writer: 0, write: 1, reads: 2 } as const;

export function recordRowBytes(sharedBytes: number): number {
  return 4 * Math.ceil(sharedBytes / 4);
}

export function recordBytes(sharedBytes: number, warps: number): number {
  return recordRowBytes(sharedBytes) * (rows.reads + warps);
}

/** Of a record. */
export const clockOf = (found: Expression): Expression => run('i32.shr_u', found, i32(10));
const bytesOf = (found: Expression): Expression => run('i32.and', run('i32.shr_u', found, i32(6)), i32(15));
const laneIn = (found: Expression): Expression => run('i32.and', found, i32(63));

/** What every check knows of its warp. */
interface Own {
  readonly shared: Expression;
  readonly number: Expression;
  readonly clocks: Expression;
  readonly clock: Expression;
  readonly writers: Expression;
  readonly writes: Expression;
  readonly ownReads: Expression;
  readonly firstReads: Expression;
  readonly rowBytes: Expression;
}

function ownOf(code: CodeBuilder, warp: Expression): Own {
  const number = code.hold(load('i32.load', warp, header.warpNumber));
  const clocks = code.hold(load('i32.load', warp, header.clocks));
  const rowBytes = code.hold(load('i32.load', warp, header.recordRowBytes));
  const writers = code.hold(load('i32.load', warp, header.records));
  const writes = code.hold(run('i32.add', writers, rowBytes));
  const firstReads = code.hold(run('i32.add', writes, rowBytes));
  return {
    ...{ number, clocks, rowBytes, writers, writes, firstReads },
    shared: code.hold(load('i32.load', warp, header.sharedBase)),
    clock: code.hold(wordAt(clocks, number)),
    ownReads: code.hold(run('i32.add', firstReads, run('i32.mul', rowBytes, number))),
  };
}

/** Of a use of a word: which bytes, by which lane, and what is reported where it is a fault. */
interface Use {
  readonly warp: Expression;
  readonly lane: Expression;
  readonly address: Expression;
  readonly used: Expression;
  readonly instruction: Expression;
}

/** A fault where a record of another warp, or of another lane of this one, is not known to come before. */
function refuseUnordered(code: CodeBuilder, own: Own, use: Use, found: Expression, other: Expression): void {
  const isOwn = run('i32.eq', other, own.number);
  // Who uses all that several lanes used one by one uses what another did.
  const usesAll = run('i32.eqz', allOf(bytesOf(found), run('i32.xor', use.used, i32(-1))));
  const isMixed = run('i32.eq', laneIn(found), i32(mixedLanes));
  const isOtherLane = run('select', usesAll, run('i32.ne', laneIn(found), use.lane), isMixed);
  const raceWithin = allOf(run('i32.eq', clockOf(found), own.clock), isOtherLane);
  const raceBetween = run('i32.gt_u', clockOf(found), wordAt(own.clocks, other));
  const sharesBytes = run('i32.ne', allOf(bytesOf(found), use.used), i32(0));
  code.when(allOf(sharesBytes, run('select', raceWithin, raceBetween, isOwn)), () =>
    code.run('raceFault', use.warp, use.lane, use.address, use.instruction, other),
  );
}

/** What is known of a word with this use of it: with those of the same warp since it last met, else alone. */
function withOwn(own: Own, use: Use, known: Expression, isOfWarp: Expression): Expression {
  const joins = allOf(isOfWarp, run('i32.eq', clockOf(known), own.clock));
  const isSame = run('i32.eq', laneIn(known), use.lane);
  const overlaps = run('i32.ne', allOf(bytesOf(known), use.used), i32(0));
  const isMixed = run('i32.eq', laneIn(known), i32(mixedLanes));
  const others = run('select', i32(severalLanes), i32(mixedLanes), allOf(overlaps, run('i32.eqz', isMixed)));
  const lanes = run('select', use.lane, others, isSame);
  const clock = run('i32.shl', own.clock, i32(10));
  const record = (bytes: Expression, lane: Expression): Expression =>
    run('i32.or', run('i32.or', clock, run('i32.shl', bytes, i32(6))), lane);
  const joined = record(run('i32.or', bytesOf(known), use.used), lanes);
  return run('select', joined, record(use.used, use.lane), joins);
}

const signature = ['i32', 'i32', 'i32', 'i32', 'i32'] as const;

/** Of an access of 1, 2, or some multiple of 4 bytes: for each of its words. */
function note(name: string, isWrite: boolean): FunctionCode {
  const code = new CodeBuilder(signature);
  const [warp, lane, address, bytes, instruction] = [0, 1, 2, 3, 4].map((at) => code.parameter(at)) as [
    Expression,
    Expression,
    Expression,
    Expression,
    Expression,
  ];
  const own = ownOf(code, warp);
  const ones = run('i32.sub', run('i32.shl', i32(1), bytes), i32(1));
  const ofWord = run('i32.shl', ones, run('i32.and', address, i32(3)));
  const used = code.hold(run('select', i32(15), ofWord, run('i32.ge_u', bytes, i32(4))));
  const offset = code.hold(run('i32.sub', address, own.shared));
  const first = run('i32.and', offset, i32(-4));
  code.loop(first, run('i32.add', offset, bytes), 4, (at) => {
    const use: Use = { warp, lane, address, used, instruction };
    const writer = code.hold(load('i32.load', run('i32.add', own.writers, at)));
    const place = code.hold(run('i32.add', own.writes, at));
    const write = code.hold(load('i32.load', place));
    refuseUnordered(code, own, use, write, writer);
    if (!isWrite) {
      const read = code.hold(run('i32.add', own.ownReads, at));
      code.store('i32.store', read, withOwn(own, use, code.hold(load('i32.load', read)), i32(1)));
      return;
    }
    const reads = code.changing(run('i32.add', own.firstReads, at));
    code.loop(i32(0), load('i32.load', warp, header.warpCount), 1, (other) => {
      refuseUnordered(code, own, use, code.hold(load('i32.load', reads.value)), other);
      reads.set(run('i32.add', reads.value, own.rowBytes));
    });
    code.store('i32.store', place, withOwn(own, use, write, run('i32.eq', writer, own.number)));
    code.store('i32.store', run('i32.add', own.writers, at), own.number);
  });
  return code.function(name);
}

const vectorClockOf = (found: Expression): Expression => run('i32x4.shr_u', found, i32(10));
const splat = (value: Expression): Expression => run('i32x4.splat', value);
const isEqual = (a: Expression, b: Expression): Expression => run('i32x4.eq', a, b);

interface FourUses {
  readonly warp: Expression;
  readonly lanes: Expression;
  readonly address: Expression;
  readonly instruction: Expression;
}

/**
 * Of whole words that follow each other, each of its lane: the same. Where they are not all alike, or one
 * seems to be in a race, they are looked at one by one.
 */
function noteFourAt(
  code: CodeBuilder,
  own: Own,
  { warp, lanes, address, instruction }: FourUses,
  isWrite: boolean,
): void {
  const single = isWrite ? 'noteWrite' : 'noteRead';
  const at = code.hold(run('i32.sub', address, own.shared));
  const clock = code.hold(splat(own.clock));
  const laneBits = words(63);
  /** Where records are of the own warp with its clock, and not of the same lanes. */
  const within = (found: Expression): Expression =>
    run(
      'v128.andnot',
      isEqual(vectorClockOf(found), clock),
      isEqual(run('v128.and', found, laneBits), lanes),
    );
  const between = (found: Expression, other: Expression): Expression =>
    run('i32x4.gt_u', vectorClockOf(found), splat(wordAt(own.clocks, other)));
  const place = code.hold(run('i32.add', own.writes, at));
  const writers = code.hold(load('v128.load', run('i32.add', own.writers, at)));
  const write = code.hold(load('v128.load', place));
  const writer = code.hold(laneOf('i32x4.extract_lane', writers, 0));
  const unlike = run('v128.not', isEqual(writers, splat(writer)));
  const isOwn = code.hold(splat(run('i32.eq', writer, own.number)));
  const mask = run('i32x4.ne', isOwn, words(0));
  const bad = code.changing(run('v128.or', unlike, choose(mask, within(write), between(write, writer))));
  if (isWrite) {
    const reads = code.changing(run('i32.add', own.firstReads, at));
    code.loop(i32(0), load('i32.load', warp, header.warpCount), 1, (other) => {
      const found = code.hold(load('v128.load', reads.value));
      const same = run('i32x4.ne', splat(run('i32.eq', other, own.number)), words(0));
      bad.set(run('v128.or', bad.value, choose(same, within(found), between(found, other))));
      reads.set(run('i32.add', reads.value, own.rowBytes));
    });
  }
  const isBad = code.hold(run('v128.any_true', bad.value));
  code.when(isBad, () => {
    for (let word = 0; word < 4; word++)
      code.run(
        single,
        ...[warp, laneOf('i32x4.extract_lane', lanes, word)],
        ...[run('i32.add', address, i32(4 * word)), i32(4), instruction],
      );
  });
  code.when(run('i32.eqz', isBad), () => {
    const alone = code.hold(
      run('v128.or', run('i32x4.shl', clock, i32(10)), run('v128.or', words(15 << 6), lanes)),
    );
    const joined = (known: Expression): Expression => {
      const others = choose(
        isEqual(run('v128.and', known, laneBits), words(mixedLanes)),
        words(mixedLanes),
        words(severalLanes),
      );
      const together = run(
        'v128.or',
        run('i32x4.shl', clock, i32(10)),
        run('v128.or', words(15 << 6), others),
      );
      return choose(code.hold(within(known)), together, alone);
    };
    if (isWrite) {
      code.store('v128.store', place, choose(mask, joined(write), alone));
      code.store('v128.store', run('i32.add', own.writers, at), splat(own.number));
    } else {
      const read = code.hold(run('i32.add', own.ownReads, at));
      code.store('v128.store', read, joined(code.hold(load('v128.load', read))));
    }
  });
}

function noteFour(name: string, isWrite: boolean): FunctionCode {
  const code = new CodeBuilder(['i32', 'v128', 'i32', 'i32']);
  const [warp, lanes, address, instruction] = [0, 1, 2, 3].map((at) => code.parameter(at)) as [
    Expression,
    Expression,
    Expression,
    Expression,
  ];
  noteFourAt(code, ownOf(code, warp), { warp, lanes, address, instruction }, isWrite);
  return code.function(name);
}

/**
 * Of each of the pieces of 16 bytes in a table, by the lane of that number and those after it, or by the one
 * lane: `(warp, lane, step, table, base, count, instruction)`.
 */
function notePieces(name: string, isWrite: boolean): FunctionCode {
  const code = new CodeBuilder(Array.from({ length: 7 }, () => 'i32' as const));
  const [warp, lane, step, table, base, count, instruction] = [0, 1, 2, 3, 4, 5, 6].map((at) =>
    code.parameter(at),
  ) as [Expression, Expression, Expression, Expression, Expression, Expression, Expression];
  const own = ownOf(code, warp);
  const current = code.changing(lane);
  code.loop(i32(0), count, 1, (at) => {
    const address = code.hold(run('i32.add', base, wordAt(table, at)));
    const lanes = code.hold(splat(current.value));
    noteFourAt(code, own, { warp, lanes, address, instruction }, isWrite);
    current.set(run('i32.add', current.value, step));
  });
  return code.function(name);
}

export function raceFunctions(): readonly FunctionCode[] {
  return [
    note('noteRead', false),
    note('noteWrite', true),
    noteFour('noteReadFour', false),
    noteFour('noteWriteFour', true),
    notePieces('noteReads', false),
    notePieces('noteWrites', true),
  ];
}
