/** Kernels of CUDA as nvcc translates them, against what they ought to compute. */
import { describe, expect, test } from 'vitest';
import { launch } from './launch.ts';
import { narrow, widen } from './soft-float.ts';
import { given, kernelModule, randomNumbers, value, wanted } from './testing.ts';

const random = randomNumbers(1);
const floatsOf = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => 2 * random() - 1);
const halfBits = (number: number): number =>
  Number(narrow(number, { format: 'f16', rounding: 'rn', saturates: false, relu: false }));
const halvesOf = (count: number): Uint16Array =>
  Uint16Array.from({ length: count }, () => halfBits(2 * random() - 1));
const fromHalf = (bits: number): number => widen(bits, 'f16');

describe('kernels of nvcc', () => {
  test('vector_add', () => {
    const [a, b, c] = [floatsOf(1000), floatsOf(1000), new Float32Array(1000)];
    launch({
      ...{ module: kernelModule('vector'), kernel: 'vector_add', grid: [8, 1, 1], block: [128, 1, 1] },
      arguments: [given('a', a), given('b', b), wanted('c', c), value(1000)],
    });
    expect(c).toEqual(a.map((each, at) => each + b[at]!));
  });

  test('saxpy strides over what the grid does not cover, and rounds once', () => {
    const [x, y] = [floatsOf(1000), floatsOf(1000)];
    // The sum of a product and a number is exact in f64, but for bits that f32 does not see.
    const expected = y.map((each, at) => 0.5 * x[at]! + each);
    launch({
      ...{ module: kernelModule('vector'), kernel: 'saxpy', grid: [3, 1, 1], block: [96, 1, 1] },
      arguments: [value(0.5), given('x', x), given('y', y), value(1000)],
    });
    expect(y).toEqual(expected);
  });

  test('half_axpy', () => {
    const [x, y] = [halvesOf(200), halvesOf(200)];
    const expected = y.map((each, at) => halfBits(0.3330078125 * fromHalf(x[at]!) + fromHalf(each)));
    const half = halfBits(0.3330078125);
    const both = { kind: 'bytes', bytes: new Uint8Array(new Uint16Array([half, half]).buffer) } as const;
    launch({
      ...{ module: kernelModule('vector'), kernel: 'half_axpy', grid: [2, 1, 1], block: [64, 1, 1] },
      arguments: [both, given('x', x), given('y', y), value(100)],
    });
    expect(y).toEqual(expected);
  });

  test('reduce_sum of whole numbers', () => {
    const x = Float32Array.from({ length: 5000 }, () => Math.floor(random() * 100));
    const total = new Float32Array(1);
    launch({
      ...{ module: kernelModule('reduce'), kernel: 'reduce_sum', grid: [4, 1, 1], block: [256, 1, 1] },
      arguments: [given('x', x), given('total', total), value(x.length)],
    });
    expect(total[0]).toBe(x.reduce((sum, each) => sum + each, 0));
  });

  test('transpose of sizes that no tile divides', () => {
    const [rows, columns] = [45, 70];
    const [x, y] = [floatsOf(rows * columns), new Float32Array(rows * columns)];
    launch({
      ...{ module: kernelModule('transpose'), kernel: 'transpose', grid: [3, 2, 1], block: [32, 8, 1] },
      arguments: [given('in', x), wanted('out', y), value(rows), value(columns)],
    });
    const expected = y.map((_, at) => x[(at % rows) * columns + Math.floor(at / rows)]!);
    expect(y).toEqual(expected);
  });

  test('product of sizes that no tile divides', () => {
    const [m, n, k] = [20, 37, 33];
    const whole = (count: number) => Float32Array.from({ length: count }, () => Math.floor(9 * random()) - 4);
    const [a, b, c] = [whole(m * k), whole(k * n), new Float32Array(m * n)];
    launch({
      ...{ module: kernelModule('product'), kernel: 'product', grid: [3, 2, 1], block: [16, 16, 1] },
      arguments: [given('a', a), given('b', b), wanted('c', c), value(m), value(n), value(k)],
    });
    const expected = c.map((_, at) => {
      const [row, column] = [Math.floor(at / n), at % n];
      let sum = 0;
      for (let inner = 0; inner < k; inner++) sum += a[row * k + inner]! * b[inner * n + column]!;
      return sum;
    });
    expect(c).toEqual(expected);
  });

  test('softmax', () => {
    const [rows, n] = [3, 150];
    const [x, y] = [floatsOf(rows * n).map((each) => 8 * each), new Float32Array(rows * n)];
    launch({
      ...{ module: kernelModule('softmax'), kernel: 'softmax', grid: [rows, 1, 1], block: [64, 1, 1] },
      arguments: [given('x', x), wanted('y', y), value(n)],
    });
    for (let row = 0; row < rows; row++) {
      const own = [...x.subarray(row * n, (row + 1) * n)];
      const powers = own.map((each) => Math.exp(Math.fround(each - Math.max(...own))));
      const sum = powers.reduce((all, each) => all + each, 0);
      powers.forEach((each, at) => {
        const relative = Math.abs(y[row * n + at]! / (each / sum) - 1);
        // Two units in the last place of exp (CUDA), half of one each of the sum and the quotient.
        expect(relative).toBeLessThan(4 * 2 ** -23);
      });
    }
  });

  test('histogram', () => {
    const data = Uint8Array.from({ length: 3000 }, () => Math.floor(256 * random() ** 2));
    const [counts, expected] = [new Uint32Array(256), new Uint32Array(256)];
    for (const each of data) expected[each]!++;
    launch({
      ...{ module: kernelModule('histogram'), kernel: 'histogram', grid: [3, 1, 1], block: [128, 1, 1] },
      arguments: [given('data', data), given('counts', counts), value(data.length)],
    });
    expect(counts).toEqual(expected);
  });

  test('scan', () => {
    const x = Int32Array.from({ length: 200 }, () => Math.floor(1000 * random()) - 500);
    const y = new Int32Array(200);
    launch({
      ...{ module: kernelModule('scan'), kernel: 'scan', grid: [1, 1, 1], block: [256, 1, 1] },
      sharedBytes: 4 * 256,
      arguments: [given('x', x), wanted('y', y), value(200)],
    });
    let sum = 0;
    expect(y).toEqual(x.map((each) => (sum += each)));
  });

  test('bitonic_sort', () => {
    const keys = BigUint64Array.from({ length: 128 }, () => BigInt(Math.floor(2 ** 52 * random())) << 12n);
    const expected = keys.toSorted();
    launch({
      ...{ module: kernelModule('sort'), kernel: 'bitonic_sort', grid: [1, 1, 1], block: [128, 1, 1] },
      sharedBytes: 8 * 128,
      arguments: [given('keys', keys)],
    });
    expect(keys).toEqual(expected);
  });

  test.each([
    { kernel: 'wmma_product', width: 16 },
    { kernel: 'mma_product', width: 8 },
  ])('$kernel', ({ kernel, width }) => {
    const [m, n, k] = [32, 16, 48];
    const whole = (count: number) =>
      Uint16Array.from({ length: count }, () => halfBits(Math.floor(17 * random()) - 8));
    const [a, b, c] = [whole(m * k), whole(k * n), new Float32Array(m * n)];
    launch({
      ...{ module: kernelModule('tensor-cores'), kernel, grid: [n / width, m / 16, 1], block: [32, 1, 1] },
      arguments: [given('a', a), given('b', b), wanted('c', c), value(n), value(k)],
    });
    const expected = c.map((_, at) => {
      const [row, column] = [Math.floor(at / n), at % n];
      let sum = 0;
      for (let inner = 0; inner < k; inner++)
        sum += fromHalf(a[row * k + inner]!) * fromHalf(b[inner * n + column]!);
      return sum;
    });
    expect(c).toEqual(expected);
  });

  test.each(['late', 'early', { seed: 7 }] as const)('pipeline_sum, copies %s', (copies) => {
    const blocks = 7;
    const x = Float32Array.from({ length: blocks * 256 }, () => Math.floor(16 * random()));
    const sums = new Float32Array(64);
    launch({
      ...{ module: kernelModule('pipeline'), kernel: 'pipeline_sum', grid: [1, 1, 1], block: [64, 1, 1] },
      copies,
      arguments: [given('x', x), wanted('sums', sums), value(blocks)],
    });
    const expected = sums.map((_, thread) => {
      let sum = 0;
      for (let block = 0; block < blocks; block++) {
        const at = 4 * (block * 64 + 63 - thread);
        sum += x[at]! + x[at + 1]! * x[at + 2]! - x[at + 3]!;
      }
      return sum;
    });
    expect(sums).toEqual(expected);
  });

  test('calls of functions, tables, arrays of a thread and f64', () => {
    const x = Int32Array.from({ length: 100 }, (_, at) => 1 + at * 37);
    const [y, roots] = [new BigInt64Array(100), new Float64Array(100)];
    launch({
      ...{ module: kernelModule('calls'), kernel: 'calls', grid: [2, 1, 1], block: [64, 1, 1] },
      arguments: [given('x', x), wanted('y', y), wanted('roots', roots), value(100)],
    });
    const primes = [2, 3, 5, 7, 11, 13, 17, 19];
    x.forEach((start, at) => {
      let [n, low, high] = [start, 0, 0];
      while (n > 1) {
        n = n % 2 === 0 ? n / 2 : 3 * n + 1;
        low++;
        high = Math.max(high, n);
      }
      const digits = [...String(start)].map(Number);
      const counts = Array.from({ length: 10 }, (_, digit) => digits.filter((each) => each === digit).length);
      const most = counts.indexOf(Math.max(...counts));
      expect(y[at]).toBe(BigInt(high * primes[low & 7]! + most));
      let root = start;
      for (let step = 0; step < 12; step++) root = (root + start / root) / 2;
      expect(roots[at]).toBe(root);
    });
  });
});
