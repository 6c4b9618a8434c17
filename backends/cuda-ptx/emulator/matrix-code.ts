/**
 * Products of matrices whose elements are dealt out over the lanes of a warp, and of such as lie in shared
 * memory, as pieces of 16 bytes along k. Factors become f64, in which products of theirs are exact and are
 * added in the order of k; a sum begins with what it is added to, and is rounded once to f32. Of factors of
 * 8 bits sums keep fourteen bits, as those of Hopper do (Zhang et al., "SageAttention2", 2024).
 */
import type { Expression, FunctionCode } from '../../wasm/code.ts';
import type { PtxType } from '../ptx-types.ts';
import { CodeBuilder, load, wordAt } from './code-builder.ts';
import { choose, floats, i32, run, shuffle, words } from './code-text.ts';

/** Types of factors whose products are made here. */
export const factorTypes = ['f16', 'bf16', 'tf32', 'e4m3', 'e5m2'] as const;
export type FactorType = (typeof factorTypes)[number];

export function isFactorType(type: PtxType): type is FactorType {
  return factorTypes.some((each) => each === type);
}

/** Of a decoded right factor: this many columns lie together, as a lane's neighbours in the sum lie. */
const tileColumns = 8;
/** Columns in pairs, as registers of sums have them: the even ones in one, the odd ones in the next. */
const columnPairs = [
  [0, 2],
  [4, 6],
  [1, 3],
  [5, 7],
] as const;
const doubleBytes = 8;
export const rowBytesOfTile = tileColumns * doubleBytes;

// ── decoding ───────────────────────────────────────────────────────────────────────────────────────────────

const upperHalf = (vector: Expression): Expression => shuffle(vector, vector, [2, 3, 2, 3]);

/** Halves as f32, of words that have them below zeros: a multiplication sets the exponent right. */
function halfAsFloat(code: CodeBuilder, word: Expression): Expression {
  const bits = code.hold(word);
  const magnitude = code.hold(run('i32x4.shl', run('v128.and', bits, words(0x7fff)), i32(13)));
  const scaled = run('f32x4.mul', magnitude, floats(2 ** 112));
  const isSpecial = run('i32x4.gt_s', magnitude, words(0x0f7fffff));
  const sign = run('i32x4.shl', run('v128.and', bits, words(0x8000)), i32(16));
  return run('v128.or', run('v128.or', scaled, sign), run('v128.and', isSpecial, words(0x7f800000)));
}

function e4m3AsFloat(code: CodeBuilder, word: Expression): Expression {
  const bits = code.hold(word);
  const magnitude = code.hold(run('i32x4.shl', run('v128.and', bits, words(0x7f)), i32(20)));
  const scaled = run('f32x4.mul', magnitude, floats(2 ** 120));
  const isNotNumber = run('i32x4.eq', magnitude, words(0x07f00000));
  const sign = run('i32x4.shl', run('v128.and', bits, words(0x80)), i32(24));
  return choose(isNotNumber, words(0x7fffffff), run('v128.or', scaled, sign));
}

const asFloat: { readonly [T in FactorType]: (code: CodeBuilder, word: Expression) => Expression } = {
  f16: halfAsFloat,
  bf16: (_, word) => run('i32x4.shl', word, i32(16)),
  tf32: (_, word) => run('v128.and', word, words(~0x1fff)),
  e4m3: e4m3AsFloat,
  e5m2: (code, word) => halfAsFloat(code, run('i32x4.shl', word, i32(8))),
};

export const bytesOfFactor: { readonly [T in FactorType]: 1 | 2 | 4 } = {
  ...{ f16: 2, bf16: 2, tf32: 4, e4m3: 1, e5m2: 1 },
};

/** A piece as words, in its order, each an element above zeros. */
const asWords: { readonly [B in 1 | 2 | 4]: (code: CodeBuilder, piece: Expression) => Expression[] } = {
  4: (_, piece) => [piece],
  2: (_, piece) => [piece, upperHalf(piece)].map((each) => run('i32x4.extend_low_i16x8_u', each)),
  1: (code, piece) =>
    [piece, upperHalf(piece)].flatMap((each) => {
      const halves = code.hold(run('i16x8.extend_low_i8x16_u', each));
      return [halves, upperHalf(halves)].map((part) => run('i32x4.extend_low_i16x8_u', part));
    }),
};

/** Pairs of f64. */
function promoted(code: CodeBuilder, floatsOfFour: Expression): readonly [Expression, Expression] {
  const held = code.hold(floatsOfFour);
  return [
    code.hold(run('f64x2.promote_low_f32x4', held)),
    code.hold(run('f64x2.promote_low_f32x4', upperHalf(held))),
  ];
}

/** The elements of a piece at an address, in their order, in pairs. */
function decoded(code: CodeBuilder, type: FactorType, address: Expression): readonly Expression[] {
  const piece = code.hold(load('v128.load', address));
  return asWords[bytesOfFactor[type]](code, piece).flatMap((word) =>
    promoted(code, asFloat[type](code, word)),
  );
}

const signatureOf = (count: number): readonly 'i32'[] => Array.from({ length: count }, () => 'i32');

/** Rows of pieces, one after the other, as f64. `decodeRows_TYPE(table, base, pieces, to)` */
function decodeRows(type: FactorType): FunctionCode {
  const code = new CodeBuilder(signatureOf(4));
  const [table, base, pieces, to] = [0, 1, 2, 3].map((at) => code.parameter(at));
  const place = code.changing(to!);
  code.loop(i32(0), pieces!, 1, (at) => {
    const pairs = decoded(code, type, run('i32.add', base!, wordAt(table!, at)));
    for (const [each, pair] of pairs.entries()) code.store('v128.store', place.value, pair, 16 * each);
    place.set(run('i32.add', place.value, i32(16 * pairs.length)));
  });
  return code.function(`decodeRows_${type}`);
}

/**
 * Pieces that lie along the rows, of `k` lines with two each, as 16 rows of k. `decodeTurned_TYPE(table, base,
 * k, to)`
 */
function decodeTurned(type: FactorType): FunctionCode {
  const code = new CodeBuilder(signatureOf(4));
  const [table, base, k, to] = [0, 1, 2, 3].map((at) => code.parameter(at));
  const rowBytes = code.hold(run('i32.mul', k!, i32(doubleBytes)));
  code.loop(i32(0), k!, 1, (line) => {
    const place = code.changing(run('i32.add', to!, run('i32.mul', line, i32(doubleBytes))));
    for (const piece of [0, 1]) {
      const at = run('i32.add', run('i32.mul', line, i32(2)), i32(piece));
      for (const pair of decoded(code, type, run('i32.add', base!, wordAt(table!, at))))
        for (const lane of [0, 1]) {
          code.storeLane('v128.store64_lane', place.value, pair, lane);
          place.set(run('i32.add', place.value, rowBytes));
        }
    }
  });
  return code.function(`decodeTurned_${type}`);
}

/** Of a tile: 8 columns, each of so many pieces along k. `decodeTile_TYPE(table, base, pieces, to)` */
function decodeTile(type: FactorType): FunctionCode {
  const code = new CodeBuilder(signatureOf(4));
  const [table, base, pieces, to] = [0, 1, 2, 3].map((at) => code.parameter(at));
  const perPiece = 16 / bytesOfFactor[type];
  const place = code.changing(to!);
  code.loop(i32(0), pieces!, 1, (piece) => {
    const column = (number: number): readonly Expression[] => {
      const at = run('i32.add', run('i32.mul', pieces!, i32(number)), piece);
      return decoded(code, type, run('i32.add', base!, wordAt(table!, at)));
    };
    columnPairs.forEach(([left, right], pair) => {
      const [a, b] = [column(left), column(right)];
      a.forEach((own, at) => {
        const put = (k: number, lanes: readonly [number, number, number, number]): void =>
          code.store('v128.store', place.value, shuffle(own, b[at]!, lanes), rowBytesOfTile * k + 16 * pair);
        put(2 * at, [0, 1, 4, 5]);
        put(2 * at + 1, [2, 3, 6, 7]);
      });
    });
    place.set(run('i32.add', place.value, i32(rowBytesOfTile * perPiece)));
  });
  return code.function(`decodeTile_${type}`);
}

/**
 * The same of pieces that lie along the columns, one for each of `k` lines, `step` entries of the table apart.
 * `decodeTurnedTile_TYPE(table, base, step, k, to)`
 */
function decodeTurnedTile(type: 'f16' | 'bf16'): FunctionCode {
  const code = new CodeBuilder(signatureOf(5));
  const [table, base, step, k, to] = [0, 1, 2, 3, 4].map((at) => code.parameter(at));
  const place = code.changing(to!);
  code.loop(i32(0), k!, 1, (line) => {
    const at = run('i32.mul', line, step!);
    const piece = code.hold(load('v128.load', run('i32.add', base!, wordAt(table!, at))));
    const evenAndOdd = [run('v128.and', piece, words(0xffff)), run('i32x4.shr_u', piece, i32(16))];
    const pairs = evenAndOdd.flatMap((word) => promoted(code, asFloat[type](code, word)));
    for (const [each, pair] of pairs.entries()) code.store('v128.store', place.value, pair, 16 * each);
    place.set(run('i32.add', place.value, i32(rowBytesOfTile)));
  });
  return code.function(`decodeTurnedTile_${type}`);
}

// ── products ───────────────────────────────────────────────────────────────────────────────────────────────

/** Of what sums are kept in. */
type SumBits = 14 | 24;
const tileFunctions: { readonly [B in SumBits]: string } = { 14: 'multiplyTileOfEights', 24: 'multiplyTile' };

/**
 * 16 rows by one tile: `multiplyTile(left, right, k, addends, results, base)`. The last are tables of four
 * registers from a base on, two for rows 0 … 7, of even and of odd columns, and two for the others; without
 * addends sums begin with zero.
 */
function multiplyTile(isFused: boolean, bits: SumBits): FunctionCode {
  const code = new CodeBuilder(signatureOf(6));
  const [left, right, k, addends, results, base] = [0, 1, 2, 3, 4, 5].map((at) => code.parameter(at));
  const rowBytes = code.hold(run('i32.mul', k!, i32(doubleBytes)));
  const registers = (table: Expression): readonly Expression[] =>
    [0, 1, 2, 3].map((at) => code.hold(run('i32.add', base!, load('i32.load', table, 4 * at))));
  const from = registers(addends!);
  const to = registers(results!);
  code.loop(i32(0), i32(8), 1, (row) => {
    const lanes = code.hold(run('i32.mul', row, i32(16)));
    // Of each register, its first two lanes and its last.
    const sums = from.flatMap(() => [code.changing(words(0)), code.changing(words(0))]);
    code.when(run('i32.ne', addends!, i32(0)), () =>
      from.forEach((register, at) => {
        const pairs = promoted(code, load('v128.load', run('i32.add', register, lanes)));
        for (const [each, pair] of pairs.entries()) sums[2 * at + each]!.set(pair);
      }),
    );
    const a = code.changing(run('i32.add', left!, run('i32.mul', row, rowBytes)));
    const b = code.changing(right!);
    code.loop(i32(0), k!, 4, () => {
      for (let inner = 0; inner < 4; inner++) {
        const columns = columnPairs.map((_, pair) =>
          code.hold(load('v128.load', b.value, rowBytesOfTile * inner + 16 * pair)),
        );
        const upper = code.hold(load('v128.load64_splat', a.value, doubleBytes * inner));
        const below = run('i32.add', a.value, run('i32.shl', rowBytes, i32(3)));
        const lower = code.hold(load('v128.load64_splat', below, doubleBytes * inner));
        [upper, lower].forEach((factor, which) => {
          columns.forEach((column, pair) => {
            const sum = sums[4 * which + pair]!;
            sum.set(
              isFused
                ? run('f64x2.relaxed_madd', factor, column, sum.value)
                : run('f64x2.add', run('f64x2.mul', factor, column), sum.value),
            );
          });
        });
      }
      a.set(run('i32.add', a.value, i32(4 * doubleBytes)));
      b.set(run('i32.add', b.value, i32(4 * rowBytesOfTile)));
    });
    to.forEach((register, at) => {
      const [low, high] = [sums[2 * at]!, sums[2 * at + 1]!].map(({ value }) =>
        run('f32x4.demote_f64x2_zero', value),
      );
      const both = shuffle(low!, high!, [0, 1, 4, 5]);
      const all = code.hold(bits === 24 ? both : run('v128.and', both, words(-(2 ** (24 - bits)))));
      const isNumber = run('f32x4.eq', all, all);
      code.store('v128.store', run('i32.add', register, lanes), choose(isNumber, all, words(0x7fffffff)));
    });
  });
  return code.function(tileFunctions[bits]);
}

/**
 * 16 rows by many tiles, the right factor's columns one after the other in a table of pieces along k.
 * `multiply_TYPE(left, table, base, pieces, tiles, k, scratch, addends, results, registers)`
 */
function multiply(type: FactorType): FunctionCode {
  const code = new CodeBuilder(signatureOf(10));
  const [left, table, base, pieces, tiles, k, scratch, addends, results, registers] = [
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  ].map((at) => code.parameter(at));
  const tableStep = code.hold(run('i32.mul', pieces!, i32(4 * tileColumns)));
  code.loop(i32(0), tiles!, 1, (tile) => {
    const own = run('i32.add', table!, run('i32.mul', tile, tableStep));
    code.run(`decodeTile_${type}`, own, base!, pieces!, scratch!);
    const bits = bytesOfFactor[type] === 1 ? 14 : 24;
    multiplyOne(code, { left, scratch, k, addends, results, registers } as OneTile, tile, bits);
  });
  return code.function(`multiply_${type}`);
}

/** The same with pieces along the columns: `multiplyTurned_TYPE(left, table, base, tiles, k, scratch, …)`. */
function multiplyTurned(type: 'f16' | 'bf16'): FunctionCode {
  const code = new CodeBuilder(signatureOf(9));
  const [left, table, base, tiles, k, scratch, addends, results, registers] = [
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8],
  ].map((at) => code.parameter(at));
  code.loop(i32(0), tiles!, 1, (tile) => {
    const own = run('i32.add', table!, run('i32.shl', tile, i32(2)));
    code.run(`decodeTurnedTile_${type}`, own, base!, tiles!, k!, scratch!);
    multiplyOne(code, { left, scratch, k, addends, results, registers } as OneTile, tile, 24);
  });
  return code.function(`multiplyTurned_${type}`);
}

interface OneTile {
  readonly left: Expression;
  readonly scratch: Expression;
  readonly k: Expression;
  readonly addends: Expression;
  readonly results: Expression;
  readonly registers: Expression;
}

function multiplyOne(code: CodeBuilder, parts: OneTile, tile: Expression, bits: SumBits): void {
  const { left, scratch, k, addends, results, registers } = parts;
  const offset = code.hold(run('i32.shl', tile, i32(4)));
  const from = run('select', run('i32.add', addends, offset), i32(0), run('i32.ne', addends, i32(0)));
  code.run(tileFunctions[bits], left, scratch, k, from, run('i32.add', results, offset), registers);
}

/** `negate(at, count)` */
function negate(): FunctionCode {
  const code = new CodeBuilder(signatureOf(2));
  const [at, count] = [code.parameter(0), code.parameter(1)];
  code.loop(at, run('i32.add', at, run('i32.mul', count, i32(doubleBytes))), 16, (place) =>
    code.store('v128.store', place, run('f64x2.neg', load('v128.load', place))),
  );
  return code.function('negate');
}

export function matrixFunctions(isFused: boolean): readonly FunctionCode[] {
  const halves = ['f16', 'bf16'] as const;
  return [
    ...factorTypes.flatMap((type) => [decodeRows(type), decodeTile(type), multiply(type)]),
    ...halves.flatMap((type) => [decodeTurned(type), decodeTurnedTile(type), multiplyTurned(type)]),
    multiplyTile(isFused, 24),
    multiplyTile(isFused, 14),
    negate(),
  ];
}
