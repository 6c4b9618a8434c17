/**
 * Who wrote and read each word of global memory last, and when: numbers of warps over all grids that a device
 * ran, and the epoch, which every meeting of warps and every atomic instruction moves on. Where that was
 * another warp of the same grid, the host looks whether they met since (`global-races.ts`).
 *
 * Who used only some bytes of a word has a number that is negative, with those bytes in the bits below the
 * sign. Of several such uses what is kept is what surely was so: the bytes of one warp in one epoch together,
 * and of several warps that read those that all of them read. So a race may be missed where warps use other
 * bytes of a word, and none is told that is none.
 */
import type { Expression, FunctionCode } from '../../wasm/code.ts';
import { allOf, CodeBuilder, load } from './code-builder.ts';
import { choose, i32, run, words } from './code-text.ts';
import { control, header } from './layout.ts';

/** The largest number of a warp. Above it are the bytes of a word that were used, where not all were. */
export const mostWarps = 2 ** 27 - 1;
const bytesShift = 27;
const partial = -(2 ** 31);

/** Rows of records, each with a word for every word of the buffers. */
export const globalRows = { writer: 0, write: 1, reader: 2, read: 3, count: 4 } as const;

/** A function of a warp, an address, how many times 2^`bits` bytes from there, and an instruction. */
function beginNote(bits: number) {
  const code = new CodeBuilder(['i32', 'i32', 'i32', 'i32']);
  const [warp, address, count, instruction] = [0, 1, 2, 3].map((at) => code.parameter(at)) as [
    Expression,
    Expression,
    Expression,
    Expression,
  ];
  const row = code.hold(load('i32.load', warp, header.globalRow));
  const end = code.hold(run('i32.add', address, run('i32.shl', count, i32(bits))));
  return { code, warp, address, count, instruction, row, end };
}

/** Where the records are of a place whose first one is at `first`, in each row. */
function recordsFrom(code: CodeBuilder, first: Expression, row: Expression) {
  const writer = code.hold(first);
  const write = code.hold(run('i32.add', writer, row));
  const reader = code.hold(run('i32.add', write, row));
  const read = code.hold(run('i32.add', reader, row));
  return { writer, write, reader, read };
}

/** `(warp, address, words, instruction)`: one word after the other. */
function noteGlobal(name: string, isWrite: boolean): FunctionCode {
  const { code, warp, address, count, instruction, row, end } = beginNote(2);
  // What is no buffer has no records; where no races are looked for the row has no bytes.
  code.when(run('i32.le_u', end, row), () => {
    const own = code.hold(load('i32.load', warp, header.warpOfDevice));
    const before = code.hold(load('i32.load', warp, header.warpsBefore));
    const metAt = code.hold(load('i32.load', warp, header.metAt));
    const epoch = code.hold(load('i32.load', i32(4 * control.epoch)));
    const records = load('i32.load', warp, header.globalRecords);
    const first = code.hold(run('i32.add', address, records));
    code.loop(i32(0), run('i32.shl', count, i32(2)), 4, (at) => {
      const { writer, write, reader, read } = recordsFrom(code, run('i32.add', first, at), row);
      const isOther = (place: Expression): Expression => {
        const who = code.hold(warpIn(load('i32.load', place)));
        return allOf(run('i32.gt_u', who, before), run('i32.ne', who, own));
      };
      const others = isWrite ? run('i32.or', isOther(writer), isOther(reader)) : isOther(writer);
      code.when(others, () =>
        code.run('globalRace', warp, run('i32.add', address, at), instruction, i32(isWrite ? 1 : 0)),
      );
      // Whom else the warp has met since reads no more; others and it are many.
      const known = code.hold(load('i32.load', reader));
      const isUnmet = allOf(isOther(reader), run('i32.ge_u', load('i32.load', read), metAt));
      const many = load('i32.load', warp, header.manyWarps);
      const readers = run('select', run('i32.or', many, bytesPart(known)), own, isUnmet);
      code.store('i32.store', isWrite ? writer : reader, isWrite ? own : readers);
      code.store('i32.store', isWrite ? write : read, epoch);
    });
  });
  return code.function(name);
}

const warpIn = (found: Expression): Expression => run('i32.and', found, i32(mostWarps));
const bytesPart = (found: Expression): Expression => run('i32.and', found, i32(~mostWarps));

/** `(warp, address, bytes, instruction)`: one byte of a word, or two. */
function noteGlobalBytes(name: string, isWrite: boolean): FunctionCode {
  const { code, warp, address, count, instruction, row, end } = beginNote(0);
  code.when(run('i32.le_u', end, row), () => {
    const own = code.hold(load('i32.load', warp, header.warpOfDevice));
    const before = code.hold(load('i32.load', warp, header.warpsBefore));
    const metAt = code.hold(load('i32.load', warp, header.metAt));
    const epoch = code.hold(load('i32.load', i32(4 * control.epoch)));
    const records = code.hold(load('i32.load', warp, header.globalRecords));
    const ones = run('i32.sub', run('i32.shl', i32(1), count), i32(1));
    const used = code.hold(run('i32.shl', ones, run('i32.and', address, i32(3))));
    const word = run('i32.and', address, i32(-4));
    const { writer, write, reader, read } = recordsFrom(code, run('i32.add', word, records), row);
    /** Which bytes somebody used, all of them or those that are said. */
    const bytesIn = (found: Expression): Expression =>
      run(
        'select',
        run('i32.and', run('i32.shr_u', found, i32(bytesShift)), i32(15)),
        i32(15),
        isPartial(found),
      );
    const knownOf = (place: Expression) => {
      const found = code.hold(load('i32.load', place));
      const who = code.hold(warpIn(found));
      const bytes = code.hold(bytesIn(found));
      const isOther = code.hold(allOf(run('i32.gt_u', who, before), run('i32.ne', who, own)));
      const shared = code.hold(run('i32.and', bytes, used));
      return { who, bytes, isOther, shared };
    };
    const [wrote, saw] = [knownOf(writer), knownOf(reader)];
    const races = ({ isOther, shared }: typeof wrote): Expression =>
      allOf(isOther, run('i32.ne', shared, i32(0)));
    code.when(isWrite ? run('i32.or', races(wrote), races(saw)) : races(wrote), () =>
      code.run('globalRace', warp, address, instruction, i32(isWrite ? 1 : 0)),
    );
    const [place, when, last] = isWrite ? [writer, write, wrote] : [reader, read, saw];
    const lastEpoch = code.hold(load('i32.load', when));
    const joins = allOf(run('i32.eq', last.who, own), run('i32.eq', lastEpoch, epoch));
    const ownBytes = run('select', run('i32.or', last.bytes, used), used, joins);
    const alone = code.hold(withBytes(own, ownBytes));
    const isUnmet = allOf(
      last.isOther,
      run('i32.ge_u', lastEpoch, metAt),
      run('i32.ne', last.shared, i32(0)),
    );
    const many = withBytes(load('i32.load', warp, header.manyWarps), last.shared);
    code.store('i32.store', place, isWrite ? alone : run('select', many, alone, isUnmet));
    code.store('i32.store', when, epoch);
  });
  return code.function(name);
}

const isPartial = (found: Expression): Expression => run('i32.lt_s', found, i32(0));

function withBytes(who: Expression, bytes: Expression): Expression {
  return run('i32.or', run('i32.or', who, i32(partial)), run('i32.shl', bytes, i32(bytesShift)));
}

/** Of a record: the number of the warp, and which bytes of the word it used. */
export function recordedUse(found: number): { readonly who: number; readonly bytes: number } {
  return { who: found & mostWarps, bytes: found < 0 ? (found >>> bytesShift) & 15 : 15 };
}

const splat = (value: Expression): Expression => run('i32x4.splat', value);

/** `(warp, address, fours, instruction)`: four words at once, where nobody else of the grid has used them so. */
function noteGlobalFours(name: string, single: string, isWrite: boolean): FunctionCode {
  const { code, warp, address, instruction, row, end } = beginNote(4);
  code.when(run('i32.le_u', end, row), () => {
    const own = code.hold(splat(load('i32.load', warp, header.warpOfDevice)));
    const before = code.hold(splat(load('i32.load', warp, header.warpsBefore)));
    const metAt = code.hold(splat(load('i32.load', warp, header.metAt)));
    const many = code.hold(splat(load('i32.load', warp, header.manyWarps)));
    const epoch = code.hold(splat(load('i32.load', i32(4 * control.epoch))));
    const records = code.hold(load('i32.load', warp, header.globalRecords));
    code.loop(address, end, 16, (at) => {
      const { writer, write, reader, read } = recordsFrom(code, run('i32.add', at, records), row);
      const isOther = (who: Expression): Expression =>
        run('v128.and', run('i32x4.gt_u', who, before), run('i32x4.ne', who, own));
      const readers = code.hold(load('v128.load', reader));
      const writes = isOther(code.hold(load('v128.load', writer)));
      // What is said of bytes is looked at one by one: of a writer it looks as another's.
      const apart = isWrite ? isOther(readers) : run('i32x4.lt_s', readers, words(0));
      const others = code.hold(run('v128.any_true', run('v128.or', writes, apart)));
      code.when(others, () => code.run(single, warp, at, i32(4), instruction));
      code.when(run('i32.eqz', others), () => {
        const isMet = run('i32x4.lt_u', load('v128.load', read), metAt);
        const isUnmet = run('v128.andnot', isOther(readers), isMet);
        const who = isWrite ? own : choose(isUnmet, many, own);
        code.store('v128.store', isWrite ? writer : reader, who);
        code.store('v128.store', isWrite ? write : read, epoch);
      });
    });
  });
  return code.function(name);
}

export function globalRaceFunctions(): readonly FunctionCode[] {
  return [
    noteGlobal('noteGlobalRead', false),
    noteGlobal('noteGlobalWrite', true),
    noteGlobalBytes('noteGlobalReadBytes', false),
    noteGlobalBytes('noteGlobalWriteBytes', true),
    noteGlobalFours('noteGlobalReads', 'noteGlobalRead', false),
    noteGlobalFours('noteGlobalWrites', 'noteGlobalWrite', true),
  ];
}
