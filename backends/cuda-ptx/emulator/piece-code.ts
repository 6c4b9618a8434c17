/**
 * What is done with many pieces of 16 bytes, wherever they are: a table has the place of each, from a base
 * on. Rows of matrices are such pieces, and what the unit beside copies.
 */
import type { Expression, FunctionCode } from '../../wasm/code.ts';
import { CodeBuilder, load, wordAt } from './code-builder.ts';
import { i32, run, words } from './code-text.ts';
import { half, header, shadow } from './layout.ts';
import { clockOf } from './race-code.ts';

export const pieceBytes = 16;
const wordBytes = 4;

function withParameters(count: number): readonly [CodeBuilder, readonly Expression[]] {
  const code = new CodeBuilder(Array.from({ length: count }, () => 'i32' as const));
  return [code, Array.from({ length: count }, (_, at) => code.parameter(at))];
}

/** The number of the first piece whose shadow, under a mask, is not that of what was written; else −1. */
function firstUnwritten(): FunctionCode {
  const [code, [table, base, count, mask]] = withParameters(4);
  const found = code.changing(i32(-1));
  const wanted = words(shadow.written * 0x01010101);
  const seen = code.hold(run('i32x4.splat', mask!));
  code.loop(i32(0), count!, 1, (at) => {
    const place = run('i32.add', base!, wordAt(table!, at));
    const state = run('v128.and', load('v128.load', place, half), seen);
    const isOther = run('v128.any_true', run('i32x4.ne', state, wanted));
    code.when(run('i32.and', isOther, run('i32.lt_s', found.value, i32(0))), () => found.set(at));
  });
  return code.function('firstUnwritten', found.value);
}

function setStates(): FunctionCode {
  const [code, [table, base, count, state]] = withParameters(4);
  const value = code.hold(run('i32x4.splat', state!));
  code.loop(i32(0), count!, 1, (at) =>
    code.store('v128.store', run('i32.add', base!, wordAt(table!, at)), value, half),
  );
  return code.function('setStates');
}

/** A number that is another one when any of these pieces of shared memory was written since. */
function writesOf(): FunctionCode {
  const [code, [warp, table, base, count]] = withParameters(4);
  const shared = code.hold(load('i32.load', warp!, header.sharedBase));
  const writers = code.hold(load('i32.load', warp!, header.records));
  const rowBytes = code.hold(load('i32.load', warp!, header.recordRowBytes));
  const sum = code.changing(words(0));
  code.loop(i32(0), count!, 1, (at) => {
    const offset = run('i32.sub', run('i32.add', base!, wordAt(table!, at)), shared);
    const place = code.hold(run('i32.add', writers, offset));
    const writer = load('v128.load', place);
    const write = load('v128.load', run('i32.add', place, rowBytes));
    const mixed = run('i32x4.mul', sum.value, words(31));
    sum.set(run('i32x4.add', mixed, run('i32x4.add', run('i32x4.mul', write, words(64)), writer)));
  });
  const lanes = [0, 1, 2, 3].map(
    (lane): Expression => ({
      kind: 'instruction',
      name: 'i32x4.extract_lane',
      operands: [sum.value],
      lane,
    }),
  );
  return code.function(
    'writesOf',
    lanes.reduce((all, each) => run('i32.add', run('i32.mul', all, i32(17)), each)),
  );
}

/**
 * What a warp wrote to shared memory, and what it has heard of that others wrote, is visible to the unit
 * beside from now on: `fence(warp, knowsWriters)`. Without records of who wrote a word, that is all.
 */
function fence(): FunctionCode {
  const [code, [warp, knowsWriters]] = withParameters(2);
  const shared = code.hold(load('i32.load', warp!, header.sharedBase));
  const clocks = code.hold(load('i32.load', warp!, header.clocks));
  const writers = code.hold(load('i32.load', warp!, header.records));
  const writes = code.hold(run('i32.add', writers, load('i32.load', warp!, header.recordRowBytes)));
  const mark = shadow.unfenced * 0x01010101;
  code.loop(i32(0), load('i32.load', warp!, header.sharedBytes), pieceBytes, (at) => {
    const piece = code.hold(run('i32.add', shared, at));
    const marked = run('v128.and', load('v128.load', piece, half), words(mark));
    code.when(run('v128.any_true', marked), () =>
      code.loop(at, run('i32.add', at, i32(pieceBytes)), wordBytes, (word) => {
        const place = code.hold(run('i32.add', shared, word));
        const writer = load('i32.load', run('i32.add', writers, word));
        const write = load('i32.load', run('i32.add', writes, word));
        const isHeard = run('i32.le_u', clockOf(write), wordAt(clocks, writer));
        const state = code.hold(load('i32.load', place, half));
        code.when(run('i32.or', run('i32.eqz', knowsWriters!), isHeard), () =>
          code.store('i32.store', place, run('i32.and', state, i32(~mark)), half),
        );
      }),
    );
  });
  return code.function('fence');
}

export function pieceFunctions(): readonly FunctionCode[] {
  return [firstUnwritten(), setStates(), writesOf(), fence()];
}
