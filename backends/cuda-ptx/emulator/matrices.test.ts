/**
 * Products of matrices of every type, of random bits: each sum is that of f64 in the order of k, rounded once.
 * Where elements are in registers and in shared memory is as the PTX ISA has it, written here anew.
 */
import { describe, expect, test } from 'vitest';
import { parsePtx } from '../parse.ts';
import { launch } from './launch.ts';
import { type FloatFormat, widen } from './soft-float.ts';
import { given, randomNumbers, wanted } from './testing.ts';

const random = randomNumbers(11);
const head = '.version 8.0\n.target sm_90a\n.address_size 64\n';
const bitsOf: { readonly [type: string]: number } = { bf16: 16, f16: 16, tf32: 32, e4m3: 8, e5m2: 8 };
const scratch = new DataView(new ArrayBuffer(4));

/** Mostly of moderate size; subnormal numbers, zeros, infinities and NaN too. */
function randomBits(type: string): number {
  const bits = bitsOf[type]!;
  if (random() < 0.02) return Math.floor(2 ** bits * random()) >>> 0;
  const value = (random() < 0.1 ? 2 ** -20 : 1) * (2 * random() - 1);
  scratch.setFloat32(0, value);
  const single = scratch.getUint32(0);
  if (bits === 32) return single;
  if (type === 'bf16') return single >>> 16;
  const [fraction, bias, exponents] = type === 'f16' ? [10, 15, 5] : type === 'e4m3' ? [3, 7, 4] : [2, 15, 5];
  const exponent = ((single >>> 23) & 255) - 127 + bias;
  const sign = (single >>> 31) << (bits - 1);
  const rest = (single >>> (23 - fraction)) & (2 ** fraction - 1);
  return exponent <= 0 || exponent >= 2 ** exponents - 1 ? sign | rest : sign | (exponent << fraction) | rest;
}

/** Of tf32 the last bits are of no account. */
function elementOf(bits: number, type: string): number {
  return type === 'tf32' ? widen(bits & ~0x1fff, 'f32') : widen(bits, type as FloatFormat);
}

function matrix(rows: number, columns: number, type: string): Uint32Array {
  return Uint32Array.from({ length: rows * columns }, () => randomBits(type));
}

/** Row by row: of A, of B by its columns, and of C. */
function expectedBits(
  a: Uint32Array,
  b: Uint32Array,
  c: Float32Array,
  k: number,
  types: readonly [string, string],
  sign = 1,
): Uint32Array {
  const n = b.length / k;
  return Uint32Array.from(c, (start, at) => {
    const [row, column] = [Math.floor(at / n), at % n];
    let sum = start;
    for (let inner = 0; inner < k; inner++)
      sum += sign * elementOf(a[row * k + inner]!, types[0]) * elementOf(b[column * k + inner]!, types[1]);
    if (Number.isNaN(sum)) return 0x7fffffff;
    scratch.setFloat32(0, sum);
    // Of factors of 8 bits sums keep fourteen.
    return bitsOf[types[0]] === 8 ? scratch.getUint32(0) & ~0x3ff : scratch.getUint32(0);
  });
}

const range = (count: number): readonly number[] => [...Array(count).keys()];
const names = (letter: string, count: number): string =>
  range(count)
    .map((at) => `%${letter}${at}`)
    .join(', ');

/** Word by word: each thread has the words at its number, so many threads apart. */
function moves(op: string, letter: string, pointer: string, count: number, threads: number): string {
  return range(count)
    .map((at) =>
      op === 'ld'
        ? `ld.global.b32 %${letter}${at}, [${pointer}+${4 * threads * at}];`
        : `st.global.b32 [${pointer}+${4 * threads * at}], %${letter}${at};`,
    )
    .join('\n');
}

describe('mma.sync', () => {
  test.each([
    ...[
      ['bf16', 8],
      ['bf16', 16],
      ['f16', 8],
      ['f16', 16],
      ['tf32', 4],
      ['tf32', 8],
    ],
    ...[
      ['e4m3', 32],
      ['e5m2', 32],
    ],
  ] as const)('%s, k = %i', (type, k) => {
    const packed = 32 / bitsOf[type]!;
    const [a, b] = [matrix(16, k, type), matrix(8, k, type)];
    const c = Float32Array.from({ length: 128 }, () => 4 * random() - 2);
    const countA = k / packed / 2;
    const countB = k / packed / 4;
    const pack = (elements: readonly number[]): number =>
      elements.reduce((all, bits, at) => (all | (bits << ((32 / packed) * at))) >>> 0, 0);
    const along = (values: Uint32Array, row: number, first: number): number =>
      pack(range(packed).map((at) => values[row * k + first + at]!));
    const lanes = range(32).map((lane) => [lane >> 2, lane & 3] as const);
    const wordsA = Uint32Array.from(
      range(countA).flatMap((at) =>
        lanes.map(([g, t]) => along(a, g + 8 * (at % 2), packed * t + 4 * packed * Math.floor(at / 2))),
      ),
    );
    const wordsB = Uint32Array.from(
      range(countB).flatMap((at) => lanes.map(([g, t]) => along(b, g, packed * t + 4 * packed * at))),
    );
    const placeOfC = range(4).flatMap((at) =>
      lanes.map(([g, t]) => (g + 8 * (at >> 1)) * 8 + 2 * t + (at & 1)),
    );
    const [wordsC, d] = [Float32Array.from(placeOfC, (place) => c[place]!), new Uint32Array(128)];
    const text = `${head}.entry product(.param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d) {
      .reg .b32 %a<${countA}>; .reg .b32 %b<${countB}>; .reg .f32 %c<4>; .reg .f32 %d<4>;
      .reg .b64 %p<4>; .reg .b64 %o; .reg .b32 %t;
      mov.u32 %t, %tid.x; mul.wide.u32 %o, %t, 4;
      ${['a', 'b', 'c', 'd'].map((name, at) => `ld.param.u64 %p${at}, [${name}]; add.u64 %p${at}, %p${at}, %o;`).join('\n')}
      ${moves('ld', 'a', '%p0', countA, 32)} ${moves('ld', 'b', '%p1', countB, 32)} ${moves('ld', 'c', '%p2', 4, 32)}
      mma.sync.aligned.m16n8k${k}.row.col.f32.${type}.${type}.f32
        {${names('d', 4)}}, {${names('a', countA)}}, {${names('b', countB)}}, {${names('c', 4)}};
      ${moves('st', 'd', '%p3', 4, 32)}
      ret;
    }`;
    launch({
      ...{ module: parsePtx(text), kernel: 'product', grid: [1, 1, 1], block: [32, 1, 1] },
      arguments: [given('a', wordsA), given('b', wordsB), given('c', wordsC), wanted('d', d)],
    });
    const expected = expectedBits(a, b, c, k, [type, type]);
    expect(d).toEqual(Uint32Array.from(placeOfC, (place) => expected[place]!));
  });
});

describe('wgmma', () => {
  /** Rows of 32 bytes, eight of them together, whose halves change places in every other four. */
  function image(rows: readonly (readonly number[])[], bits: number): Uint8Array {
    const bytes = new Uint8Array(32 * rows.length);
    rows.forEach((row, line) => {
      row.forEach((element, at) => {
        for (let byte = 0; byte < bits / 8; byte++) {
          const place = 32 * line + (bits / 8) * at + byte;
          bytes[place ^ (((place >>> 7) & 1) << 4)] = (element >>> (8 * byte)) & 255;
        }
      });
    });
    return bytes;
  }
  const descriptor = (start: number, leading: number): bigint =>
    (3n << 62n) | (BigInt(256 >> 4) << 32n) | (BigInt(leading >> 4) << 16n) | BigInt(start >> 4);

  test.each([
    ['bf16', 'bf16', 0, 0, 1],
    ['f16', 'f16', 0, 0, 1],
    ['bf16', 'bf16', 0, 1, 1],
    ['f16', 'f16', 1, 1, -1],
    ['bf16', 'bf16', 1, 0, -1],
    ['tf32', 'tf32', 0, 0, 1],
    ['e4m3', 'e5m2', 0, 0, 1],
    ['e5m2', 'e4m3', 0, 0, -1],
  ] as const)('%s by %s, turned %i %i, sign %i', (left, right, turnsA, turnsB, sign) => {
    const n = 16;
    const bits = bitsOf[left]!;
    const k = 256 / bits;
    const [a, b] = [matrix(64, k, left), matrix(n, k, right)];
    const c = Float32Array.from({ length: 64 * n }, () => 4 * random() - 2);
    const rowsOf = (values: Uint32Array, turned: number): readonly (readonly number[])[] => {
      const count = values.length / k;
      if (turned === 0) return range(count).map((row) => [...values.subarray(row * k, (row + 1) * k)]);
      // Of 16 rows each, line by line along k.
      return range(count / 16).flatMap((atom) =>
        range(k).map((line) => range(16).map((at) => values[(16 * atom + at) * k + line]!)),
      );
    };
    const tiles = new Uint8Array([...image(rowsOf(a, turnsA), bits), ...image(rowsOf(b, turnsB), bits)]);
    const bytesOfA = 64 * 32;
    const threads = range(128).map((thread) => [thread >> 5, (thread >> 2) & 7, thread & 3] as const);
    const places = range(n / 2).flatMap((at) =>
      threads.map(
        ([warp, g, t]) => (16 * warp + g + 8 * ((at >> 1) & 1)) * n + 8 * (at >> 2) + 2 * t + (at & 1),
      ),
    );
    const [words, d] = [Float32Array.from(places, (place) => c[place]!), new Uint32Array(64 * n)];
    const text = `${head}.entry product(.param .u64 tiles, .param .u64 c, .param .u64 d) {
      .shared .align 1024 .b8 smem[${tiles.length}];
      .reg .f32 %d<${n / 2}>; .reg .b64 %p<3>; .reg .b64 %o<3>; .reg .b32 %t<3>; .reg .b32 %w<4>; .reg .pred %q;
      mov.u32 %t0, %tid.x; mul.wide.u32 %o0, %t0, 4;
      ld.param.u64 %p0, [tiles]; ld.param.u64 %p1, [c]; ld.param.u64 %p2, [d];
      add.u64 %p1, %p1, %o0; add.u64 %p2, %p2, %o0;
      ${moves('ld', 'd', '%p1', n / 2, 128)}
      shl.b32 %t1, %t0, 4;
      $L: setp.ge.u32 %q, %t1, ${tiles.length};
      @%q bra $M;
      cvt.u64.u32 %o1, %t1; add.u64 %o1, %p0, %o1;
      ld.global.v4.b32 {${names('w', 4)}}, [%o1];
      st.shared.v4.b32 [%t1], {${names('w', 4)}};
      add.u32 %t1, %t1, 2048;
      bra $L;
      $M: fence.proxy.async.shared::cta;
      bar.sync 0;
      mov.b64 %o1, ${descriptor(0, 32 * k)}; mov.b64 %o2, ${descriptor(bytesOfA, 32 * k)};
      wgmma.fence.sync.aligned;
      wgmma.mma_async.sync.aligned.m64n${n}k${k}.f32.${left}.${right} {${names('d', n / 2)}}, %o1, %o2, 1, ${sign}, 1
        ${bits === 16 ? `, ${turnsA}, ${turnsB}` : ''};
      wgmma.commit_group.sync.aligned;
      wgmma.wait_group.sync.aligned 0;
      ${moves('st', 'd', '%p2', n / 2, 128)}
      ret;
    }`;
    launch({
      ...{ module: parsePtx(text), kernel: 'product', grid: [1, 1, 1], block: [128, 1, 1] },
      arguments: [given('tiles', tiles), given('c', words), wanted('d', d)],
    });
    const expected = expectedBits(a, b, c, k, [left, right], sign);
    expect(d).toEqual(Uint32Array.from(places, (place) => expected[place]!));
  });
});
