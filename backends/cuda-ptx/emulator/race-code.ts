/**
 * Who wrote and read each word of shared memory last, by the clocks of warps (after FastTrack: Flanagan and
 * Freund, PLDI 2009): an access races with one of another warp that its own warp has not heard of by a
 * barrier, and with one of another lane since the warp last met at one.
 *
 * Each warp has a row of clocks: what it has heard of each other's. Of each word there is a row of 32-bit
 * records, `clock << 10 | bytes << 6 | lane`: the last write, with its warp before it, and the last read of
 * each warp. Lanes that use the same bytes of a word are `several`; who uses others is `mixed` with them, of
 * which within the warp a race is told only where one uses all of them.
 */
import type { Expression, FunctionCode, Statement } from '../../wasm/code.ts';
import { i32, run } from './code-text.ts';
import { header } from './layout.ts';

/** Of a word: the warp that wrote it last, that write, and the last read by each warp. */
export const record = { writer: 0, write: 4, reads: 8, bytes: 8 + 4 * 32 } as const;
/** A row has a clock for each warp of a block. */
export const clockRowBytes = 4 * 32;
const severalLanes = 32;
const mixedLanes = 33;

const local = (number: number): Expression => ({ kind: 'local', local: number, type: 'i32' });
const [warp, lane, address, bytes, instruction] = [0, 1, 2, 3, 4].map(local) as [
  Expression,
  Expression,
  Expression,
  Expression,
  Expression,
];
const names = {
  ...{ number: 5, clocks: 6, clock: 7, own: 8, at: 9, end: 10, other: 11, record: 12, known: 13, used: 14 },
};
const the = Object.fromEntries(Object.entries(names).map(([name, number]) => [name, local(number)])) as {
  readonly [N in keyof typeof names]: Expression;
};

const set = (name: keyof typeof names, value: Expression): Statement => ({
  kind: 'set',
  local: names[name],
  value,
});
const load = (base: Expression, offset = 0): Expression => ({
  kind: 'instruction',
  name: 'i32.load',
  operands: [base],
  offset,
});
const put = (base: Expression, offset: number, value: Expression): Statement => ({
  kind: 'do',
  expression: { kind: 'instruction', name: 'i32.store', operands: [base, value], offset },
});
const rowOf = (base: Expression, number: Expression): Expression =>
  run('i32.add', base, run('i32.shl', number, i32(2)));

const clockOf = (found: Expression): Expression => run('i32.shr_u', found, i32(10));
const bytesOf = (found: Expression): Expression => run('i32.and', run('i32.shr_u', found, i32(6)), i32(15));
const laneOf = (found: Expression): Expression => run('i32.and', found, i32(63));
const and = (...all: readonly Expression[]): Expression => all.reduce((a, b) => run('i32.and', a, b));

/** A fault where a record of another warp, or of another lane of this one, is not known to come before. */
function refuseUnordered(found: Expression, other: Expression): Statement {
  const isOwn = run('i32.eq', other, the.number);
  // Who uses all that several lanes used one by one uses what another did.
  const usesAll = run('i32.eqz', and(bytesOf(found), run('i32.xor', the.used, i32(-1))));
  const isMixed = run('i32.eq', laneOf(found), i32(mixedLanes));
  const isOtherLane = run('select', usesAll, run('i32.ne', laneOf(found), lane), isMixed);
  const raceWithin = and(run('i32.eq', clockOf(found), the.clock), isOtherLane);
  const raceBetween = run('i32.gt_u', clockOf(found), load(rowOf(the.clocks, other)));
  const sharesBytes = run('i32.ne', and(bytesOf(found), the.used), i32(0));
  return {
    kind: 'if',
    condition: and(sharesBytes, run('select', raceWithin, raceBetween, isOwn)),
    body: [{ kind: 'run', callee: 'raceFault', operands: [warp, lane, address, instruction, other] }],
  };
}

/** What is known of a word with this use of it: with those of the same warp since it last met, else alone. */
function withOwn(known: Expression, isOfWarp: Expression): Expression {
  const joins = and(isOfWarp, run('i32.eq', clockOf(known), the.clock));
  const isSame = run('i32.eq', laneOf(known), lane);
  const overlaps = run('i32.ne', and(bytesOf(known), the.used), i32(0));
  const isMixed = run('i32.eq', laneOf(known), i32(mixedLanes));
  const others = run('select', i32(severalLanes), i32(mixedLanes), and(overlaps, run('i32.eqz', isMixed)));
  const lanes = run('select', lane, others, isSame);
  const bits = run('i32.shl', run('i32.or', bytesOf(known), the.used), i32(6));
  const joined = run('i32.or', run('i32.or', run('i32.shl', the.clock, i32(10)), bits), lanes);
  return run('select', joined, the.own, joins);
}

function overWords(body: readonly Statement[]): Statement[] {
  const base = load(warp, header.sharedBase);
  const first = run('i32.shr_u', run('i32.sub', address, base), i32(2));
  const last = run(
    'i32.shr_u',
    run('i32.sub', run('i32.add', address, run('i32.sub', bytes, i32(1))), base),
    i32(2),
  );
  const recordOf = run('i32.add', load(warp, header.records), run('i32.mul', the.at, i32(record.bytes)));
  const ones = run('i32.sub', run('i32.shl', i32(1), bytes), i32(1));
  const ofWord = run('i32.shl', ones, run('i32.and', address, i32(3)));
  return [
    set('number', load(warp, header.warpNumber)),
    set('clocks', load(warp, header.clocks)),
    set('clock', load(rowOf(the.clocks, the.number))),
    set('used', run('select', i32(15), ofWord, run('i32.ge_u', bytes, i32(4)))),
    set(
      'own',
      run(
        'i32.or',
        run('i32.or', run('i32.shl', the.clock, i32(10)), run('i32.shl', the.used, i32(6))),
        lane,
      ),
    ),
    set('end', run('i32.add', last, i32(1))),
    {
      kind: 'loop',
      local: names.at,
      from: first,
      to: the.end,
      step: 1,
      body: [set('record', recordOf), ...body],
    },
  ];
}

const ownRead = rowOf(the.record, the.number);

const noteRead: readonly Statement[] = overWords([
  refuseUnordered(load(the.record, record.write), load(the.record, record.writer)),
  set('known', load(ownRead, record.reads)),
  put(ownRead, record.reads, withOwn(the.known, i32(1))),
]);

const noteWrite: readonly Statement[] = overWords([
  refuseUnordered(load(the.record, record.write), load(the.record, record.writer)),
  {
    kind: 'loop',
    local: names.other,
    from: i32(0),
    to: load(warp, header.warpCount),
    step: 1,
    body: [
      set('known', load(rowOf(the.record, the.other), record.reads)),
      refuseUnordered(the.known, the.other),
    ],
  },
  set('known', load(the.record, record.write)),
  put(
    the.record,
    record.write,
    withOwn(the.known, run('i32.eq', load(the.record, record.writer), the.number)),
  ),
  put(the.record, record.writer, the.number),
]);

export function raceFunctions(): readonly FunctionCode[] {
  return Object.entries({ noteRead, noteWrite }).map(([name, body]) => ({
    name,
    parameters: ['i32', 'i32', 'i32', 'i32', 'i32'],
    result: undefined,
    locals: Object.keys(names).map(() => 'i32'),
    body,
    exported: true,
  }));
}
