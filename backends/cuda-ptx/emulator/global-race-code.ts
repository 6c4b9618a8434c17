/**
 * Who wrote and read each word of global memory last, and when: numbers of warps over all grids that a device
 * ran, and the epoch, which every meeting of warps and every atomic instruction moves on. Where that was
 * another warp of the same grid, the host looks whether they met since (`global-races.ts`).
 */
import type { Expression, FunctionCode } from '../../wasm/code.ts';
import { allOf, CodeBuilder, load } from './code-builder.ts';
import { choose, i32, run } from './code-text.ts';
import { control, header } from './layout.ts';

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
        const who = code.hold(load('i32.load', place));
        return allOf(run('i32.gt_u', who, before), run('i32.ne', who, own));
      };
      const others = isWrite ? run('i32.or', isOther(writer), isOther(reader)) : isOther(writer);
      code.when(others, () =>
        code.run('globalRace', warp, run('i32.add', address, at), instruction, i32(isWrite ? 1 : 0)),
      );
      // Whom else the warp has met since reads no more; others and it are many.
      const known = code.hold(load('i32.load', reader));
      const isUnmet = allOf(
        allOf(run('i32.gt_u', known, before), run('i32.ne', known, own)),
        run('i32.ge_u', load('i32.load', read), metAt),
      );
      const readers = run('select', load('i32.load', warp, header.manyWarps), own, isUnmet);
      code.store('i32.store', isWrite ? writer : reader, isWrite ? own : readers);
      code.store('i32.store', isWrite ? write : read, epoch);
    });
  });
  return code.function(name);
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
      const others = code.hold(
        run('v128.any_true', isWrite ? run('v128.or', writes, isOther(readers)) : writes),
      );
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
    noteGlobalFours('noteGlobalReads', 'noteGlobalRead', false),
    noteGlobalFours('noteGlobalWrites', 'noteGlobalWrite', true),
  ];
}
