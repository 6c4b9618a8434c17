/** Kernels of CUDA whose numbers are no f32: doubles, 64 and 128 bits, bytes, halves, and matrices of them. */
import { describe, expect, test } from 'vitest';
import { launch } from './launch.ts';
import { narrow, operate, type Rounding, widen } from './soft-float.ts';
import { given, kernelModule, randomNumbers, value, wanted } from './testing.ts';

const random = randomNumbers(7);
const word = (): number => Math.floor(random() * 2 ** 32);
const long = (): bigint => (BigInt(word()) << 32n) | BigInt(word());
const bitsOf = (number: number): bigint => new BigInt64Array(new Float64Array([number]).buffer)[0]!;
const halfBits = (number: number): number =>
  Number(narrow(number, { format: 'f16', rounding: 'rn', saturates: false, relu: false }));

describe('doubles', () => {
  test('double_sum', () => {
    const x = Float64Array.from({ length: 1000 }, () => Math.floor(random() * 2 ** 40));
    const total = new Float64Array(1);
    launch({
      ...{ module: kernelModule('doubles'), kernel: 'double_sum', grid: [3, 1, 1], block: [96, 1, 1] },
      arguments: [given('x', x), given('total', total), value(x.length)],
    });
    expect(total[0]).toBe(x.reduce((sum, each) => sum + each, 0));
  });

  test('sines, of large arguments by a table of the digits of 2 / π', () => {
    const x = Float64Array.of(0, -0, 0.5, 3, -20, 1e5, 1e9, 1e22, -1e300, 2 ** 1000, 1e-300, Number.NaN);
    const y = new Float64Array(x.length);
    launch({
      ...{ module: kernelModule('doubles'), kernel: 'sines', grid: [1, 1, 1], block: [32, 1, 1] },
      arguments: [given('x', x), wanted('y', y), value(x.length)],
    });
    // Two units in the last place of CUDA, and one of the host.
    y.forEach((each, at) => {
      const exact = Math.sin(x[at]!);
      if (Number.isNaN(exact)) expect(each).toBeNaN();
      else expect(Math.abs(each - exact)).toBeLessThanOrEqual(3 * 2 ** -52 * Math.abs(exact));
    });
  });

  test('rounded', () => {
    const x = Float64Array.of(1.5, -2.5, 1e300, 3.7e9, -1e20, 0.1, 1e-310, Number.NaN, 2 ** 63, -0.3);
    const k = BigInt64Array.from(x, (_, at) => (at % 2 === 0 ? long() : -long() >> 5n));
    const out = new BigInt64Array(12 * x.length);
    launch({
      ...{ module: kernelModule('doubles'), kernel: 'rounded', grid: [1, 1, 1], block: [32, 1, 1] },
      arguments: [given('x', x), given('k', k), wanted('out', out), value(x.length)],
    });
    const isNaNBits = (bits: bigint): boolean => (bits & 0x7fffffffffffffffn) > 0x7ff0000000000000n;
    x.forEach((a, at) => {
      const b = x[(at + 1) % x.length]!;
      const own = out.subarray(12 * at, 12 * at + 12);
      const double = (name: 'add' | 'fma' | 'div', rounding: Rounding, c = 0): bigint =>
        bitsOf(operate(name, 'f64', rounding, a, b, c));
      const doubles = [double('add', 'rp'), double('fma', 'rm', -a), double('div', 'rz')];
      doubles.forEach((bits, which) => {
        expect(isNaNBits(bits) ? isNaNBits(own[which]!) : own[which] === bits).toBe(true);
      });
      expect(own[3]).toBe(bitsOf(nearestOf(k[at]!, 53, 'up')));
      expect(own[4]).toBe(floatBits(nearestOf(k[at]!, 24, 'zero')));
      expect(own[5]).toBe(floatBits(nearestOf(BigInt.asUintN(64, k[at]!), 24, 'up')));
      const down = narrow(a, { format: 'f32', rounding: 'rm', saturates: false, relu: false });
      expect(own[6]).toBe(BigInt.asIntN(32, down));
      expect([...own.subarray(7)]).toEqual(wholesOf(a));
    });
  });
});

/** A whole number of so many bits, below or above. */
function nearestOf(whole: bigint, precision: number, direction: 'zero' | 'up'): number {
  const magnitude = whole < 0n ? -whole : whole;
  const drop = BigInt(Math.max(0, magnitude.toString(2).length - precision));
  const kept = (magnitude >> drop) << drop;
  const grows = direction === 'up' && whole > 0n && kept !== magnitude;
  const rounded = grows ? kept + (1n << drop) : kept;
  return Number(whole < 0n ? -rounded : rounded);
}

function floatBits(number: number): bigint {
  return BigInt(new Int32Array(new Float32Array([number]).buffer)[0]!);
}

/** To the nearest long, toward zero, up to 32 bits, down to 32 bits without a sign, and of the f32. */
function wholesOf(a: number): readonly bigint[] {
  const even = (x: number): number => {
    const floor = Math.floor(x);
    const isUp = x - floor > 0.5 || (x - floor === 0.5 && floor % 2 !== 0);
    return isUp ? floor + 1 : floor;
  };
  const held = (x: number, bits: number, isSigned: boolean, ofNaN: bigint): bigint => {
    const [least, most] = isSigned
      ? [-(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n]
      : [0n, (1n << BigInt(bits)) - 1n];
    if (Number.isNaN(x)) return ofNaN;
    if (!Number.isFinite(x)) return x < 0 ? least : most;
    const whole = BigInt(x);
    return whole < least ? least : whole > most ? most : whole;
  };
  const highest = -(1n << 63n);
  return [
    held(even(a), 64, true, highest),
    BigInt.asIntN(64, held(Math.trunc(a), 64, false, highest)),
    held(Math.ceil(a), 32, true, -(1n << 31n)),
    held(Math.floor(a), 32, false, 1n << 31n),
    held(even(Math.fround(a)), 64, true, highest),
  ];
}

describe('bits', () => {
  test('what instructions of bits and bytes give', () => {
    const edges = [0, 1, 31, 0x7fffffff, 0x80000000, 0xffffffff, 0x80808080];
    const x = Uint32Array.from([...edges, ...edges, ...Array.from({ length: 100 }, word)]);
    const y = Uint32Array.from([...edges, ...edges.toReversed(), ...Array.from({ length: 100 }, word)]);
    const out = new Uint32Array(14 * x.length);
    launch({
      ...{ module: kernelModule('bits'), kernel: 'bits', grid: [2, 1, 1], block: [64, 1, 1] },
      arguments: [given('x', x), given('y', y), wanted('out', out), value(x.length)],
    });
    x.forEach((a, at) => {
      expect([...out.subarray(14 * at, 14 * at + 14)]).toEqual([
        ...Uint32Array.from(bitsExpected(a, y[at]!)),
      ]);
    });
  });

  test('products and quotients of 128 bits', () => {
    const edges = [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 0xffffffffn, 10n];
    const pairs = [
      ...edges.flatMap((a) => edges.map((b) => [a, b])),
      ...Array.from({ length: 40 }, () => [long(), long() >> BigInt(word() & 63)]),
    ];
    const [x, y] = [0, 1].map((side) => BigInt64Array.from(pairs, (pair) => BigInt.asIntN(64, pair[side]!)));
    const out = new BigUint64Array(6 * pairs.length);
    launch({
      ...{ module: kernelModule('bits'), kernel: 'wide', grid: [2, 1, 1], block: [64, 1, 1] },
      arguments: [given('x', x!), given('y', y!), wanted('out', out), value(pairs.length)],
    });
    pairs.forEach((_, at) => {
      const [s, t] = [x![at]!, y![at]!];
      const [a, b] = [BigInt.asUintN(64, s), BigInt.asUintN(64, t)];
      const product = s * t - s;
      const quotient = ((a << 64n) | b) / (b | 1n);
      const last = t === 0n ? 0n : (s / t) ^ (a % b);
      const expected = [product, product >> 64n, quotient, quotient >> 64n, (s * t) >> 64n, last];
      expect([...out.subarray(6 * at, 6 * at + 6)]).toEqual(expected.map((each) => BigInt.asUintN(64, each)));
    });
  });
});

/** What `bits.cu` computes, each result one bit or byte after the other. */
function bitsExpected(a: number, b: number): readonly number[] {
  const bytesOf = (from: number): readonly number[] => [0, 8, 16, 24].map((by) => (from >>> by) & 255);
  const signed = (from: number, bits: number): number => (from << (32 - bits)) >> (32 - bits);
  const eight = [...bytesOf(a), ...bytesOf(b)];
  const pick = (places: readonly number[]): number =>
    places.reduce((all, place, at) => all | (eight[place & 7]! << (8 * at)), 0);
  const pair = (BigInt(b) << 32n) | BigInt(a);
  const count = Math.min(b & 63, 32);
  const differences = bytesOf(a).map((each, at) => Math.abs(each - bytesOf(b)[at]!));
  const [start, nth] = [b & 31, ((b >>> 5) & 7) - 3];
  let found = -1;
  if (nth === 0) found = (a >>> start) & 1 ? start : -1;
  for (let at = start, left = Math.abs(nth); left > 0 && at >= 0 && at < 32; at += Math.sign(nth))
    if ((a >>> at) & 1 && --left === 0) found = at;
  const reversed = Number.parseInt(a.toString(2).padStart(32, '0').split('').toReversed().join(''), 2);
  const [place, width] = [b & 63, (b >>> 6) & 63];
  const mask = ((1n << BigInt(Math.min(width, 32))) - 1n) << BigInt(Math.min(place, 32));
  const kept = b & 31;
  const ones = a.toString(2).split('1').length - 1;
  return [
    pick([0, 4, 8, 12].map((by) => (b >>> by) & 7)),
    Number(BigInt.asUintN(32, (pair << BigInt(b & 31)) >> 32n)),
    Number(BigInt.asUintN(32, pair >> BigInt(count))),
    [0, 8, 16, 24].reduce((all, by) => all + signed(a >>> by, 8) * signed(b >>> by, 8), 7),
    3 + signed(a, 16) * signed(b, 8) + signed(a >>> 16, 16) * signed(b >>> 8, 8),
    3 + (a & 0xffff) * eight[6]! + (a >>> 16) * eight[7]!,
    differences.reduce((all, each, at) => all | (each << (8 * at)), 0),
    differences.reduce((all, each) => all + each, 0),
    found,
    Number((BigInt(a) * BigInt(b)) >> 32n) + reversed,
    Number(BigInt.asUintN(32, mask)),
    kept === 0 ? 0 : signed(a, kept),
    pick([0, 1, 2, 3].map((at) => (b & 3) - at + 8)),
    ones * Math.clz32(b) + (a === 0 ? 0 : 32 - Math.clz32(a & -a)),
  ];
}

describe('small numbers', () => {
  test('vectors of bytes and shorts', () => {
    const n = 50;
    const [a, b] = [Int8Array.from({ length: 4 * n }, word), Uint8Array.from({ length: 4 * n }, word)];
    const c = Int16Array.from({ length: 2 * n }, word);
    const [out, sums] = [new Uint8Array(2 * n), new Int32Array(n)];
    launch({
      ...{ module: kernelModule('bytes'), kernel: 'bytes', grid: [2, 1, 1], block: [32, 1, 1] },
      arguments: [
        ...[given('a', a), given('b', b), given('c', c), wanted('out', out), wanted('sums', sums)],
        value(n),
      ],
      checksGlobalRaces: true,
    });
    for (let at = 0; at < n; at++) {
      const [x, y, z] = [a.subarray(4 * at), b.subarray(4 * at), c.subarray(2 * at)];
      expect(sums[at]).toBe(x[0]! * y[0]! - x[1]! * y[1]! + x[2]! * z[0]! - x[3]! * z[1]! + y[2]!);
      expect([...out.subarray(2 * at, 2 * at + 2)]).toEqual([(x[0]! + y[1]!) & 255, (x[2]! - y[3]!) & 255]);
    }
  });

  test('comparisons of halves two at a time', () => {
    const n = 32;
    const numbers = [0, -0, 1, -1, 0.5, 65504, Number.POSITIVE_INFINITY, Number.NaN];
    const pick = (): number => halfBits(numbers[word() % numbers.length]!);
    const [x, y] = [Uint16Array.from({ length: 2 * n }, pick), Uint16Array.from({ length: 2 * n }, pick)];
    const [less, most, same] = [new Uint16Array(2 * n), new Uint16Array(2 * n), new Uint32Array(n)];
    launch({
      ...{ module: kernelModule('bytes'), kernel: 'compared', grid: [1, 1, 1], block: [32, 1, 1] },
      arguments: [
        ...[given('x', x), given('y', y), wanted('less', less), wanted('most', most), wanted('same', same)],
        value(n),
      ],
    });
    const f = (bits: number): number => widen(bits, 'f16');
    x.forEach((bits, at) => {
      const [p, q] = [f(bits), f(y[at]!)];
      expect(less[at]).toBe(p < q ? 0x3c00 : 0);
      const sum = f(halfBits(p * q + q));
      const larger = Number.isNaN(p) ? sum : Number.isNaN(sum) ? p : Math.max(p, sum);
      expect(f(most[at]!)).toBe(larger);
    });
    for (let at = 0; at < n; at++) {
      const pairs = [2 * at, 2 * at + 1].map((each) => [f(x[each]!), f(y[each]!)] as const);
      const mask = pairs.reduce((all, [p, q], side) => all + (p === q ? 0xffff * 2 ** (16 * side) : 0), 0);
      expect(same[at]).toBe((mask + (pairs.every(([p, q]) => !(p < q)) ? 1 : 0)) >>> 0);
    }
  });

  test.each([
    { kernel: 'byte_product', m: 32, n: 8, k: 16, array: Int8Array, result: Int32Array, column: true },
    { kernel: 'tf32_product', m: 16, n: 16, k: 8, array: Float32Array, result: Float32Array, column: false },
    { kernel: 'double_product', m: 8, n: 8, k: 4, array: Float64Array, result: Float64Array, column: true },
  ])('$kernel', ({ kernel, m, n, k, array, result, column }) => {
    const whole = (count: number) =>
      new array(Array.from({ length: count }, () => Math.floor(17 * random()) - 8));
    const [a, b, c] = [whole(m * k), whole(k * n), new result(m * n)];
    launch({
      ...{ module: kernelModule('fragments'), kernel, grid: [1, 1, 1], block: [32, 1, 1] },
      arguments: [given('a', a), given('b', b), wanted('c', c)],
    });
    const expected = Array.from(c, (_, at) => {
      const [row, own] = [Math.floor(at / n), at % n];
      let sum = 1;
      for (let inner = 0; inner < k; inner++)
        sum += a[row * k + inner]! * b[column ? own * k + inner : inner * n + own]!;
      return sum;
    });
    expect([...c]).toEqual(expected);
  });
});
