/** Kernels that use what CUDA brings along: groups of threads, calls, printf, libcu++, CUB, clusters. */
import { describe, expect, test } from 'vitest';
import { type Launch, launch } from './launch.ts';
import { formatText } from './print-format.ts';
import { faultOf, given, kernelModule, randomNumbers, value, wanted } from './testing.ts';

const random = randomNumbers(3);
const below = (most: number): number => Math.floor(most * random());
const wholes = (count: number, most: number): Int32Array =>
  Int32Array.from({ length: count }, () => below(most));

const run = (file: string, kernel: string, grid: number, block: number, given: Launch['arguments']) =>
  launch({
    ...{ module: kernelModule(file), kernel, grid: [grid, 1, 1], block: [block, 1, 1] },
    ...{ arguments: given, checksGlobalRaces: true },
  });

describe('atomic instructions', () => {
  test('of 64 bits, and of a half', () => {
    const [n, all] = [100, 2n ** 64n - 1n];
    const x = BigInt64Array.from({ length: n }, () => BigInt(below(2 ** 52)) * BigInt(below(2000) - 1000));
    const u = BigUint64Array.of(5n, 0n, all, 0n, 1n);
    const s = BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n);
    const h = Uint16Array.of(0x3c00, 0x1234);
    run('atomics', 'atomics', 2, 64, [given('x', x), given('u', u), given('s', s), given('h', h), value(n)]);
    const v = [...x].map((each) => BigInt.asUintN(64, each));
    const ordered = v.toSorted((a, b) => (a < b ? -1 : 1));
    const [least, most] = [ordered[0], ordered.at(-1)];
    const sum = BigInt.asUintN(64, v.reduce((a, b) => a + b) + 5n);
    const power = BigInt.asUintN(64, 3n ** BigInt(n));
    expect([...u]).toEqual([sum, most, least, v.reduce((a, b) => a ^ b), power]);
    const sorted = [...x].toSorted((a, b) => (a < b ? -1 : 1));
    expect([...s]).toEqual([sorted.at(-1), sorted[0]]);
    // 1 + 100 / 4, and what is beside stays.
    expect([...h]).toEqual([0x4e80, 0x1234]);
  });

  test('a lock that lanes of a warp fight for', () => {
    const sum = new Int32Array(1);
    run('atomics', 'locked', 2, 64, [given('sum', sum)]);
    expect(sum[0]).toBe(64 * 63);
  });

  test('the last block adds what all have', () => {
    const x = Float32Array.from({ length: 160 }, () => below(100));
    const total = new Float32Array(1);
    run('atomics', 'last_block', 5, 32, [
      given('x', x),
      wanted('partial', new Float32Array(5)),
      wanted('total', total),
    ]);
    expect(total[0]).toBe(x.reduce((sum, each) => sum + each, 0));
  });
});

describe('groups of threads', () => {
  test('tiles, lanes that are together, labels', () => {
    const [x, out] = [wholes(64, 50), new Int32Array(6 * 64)];
    run('tiles', 'tiles', 1, 64, [given('x', x), wanted('out', out)]);
    x.forEach((own, at) => {
      const [tile, warp] = [at & ~7, at & ~31];
      const among = (holds: (each: number) => boolean): number => {
        const lanes = [...x.subarray(warp, warp + 32)];
        return 100 * lanes.filter(holds).length + lanes.slice(0, at - warp).filter(holds).length;
      };
      const sumTo = (end: number): number => x.subarray(tile, end).reduce((sum, each) => sum + each, 0);
      const same = x
        .subarray(warp, warp + 32)
        .reduce((mask, each, lane) => (each % 5 === own % 5 ? mask | (1 << lane) : mask), 0);
      expect([...out.subarray(6 * at, 6 * at + 6)]).toEqual([
        ...[sumTo(tile + 8), sumTo(at + 1), x[tile + 5]! + (tile >> 3)],
        own & 1 ? among((each) => (each & 1) === 1) : -1,
        among((each) => each % 3 === own % 3),
        same,
      ]);
    });
  });

  test('the blocks of a cooperative launch, which wait for each other', () => {
    const [data, out] = [new Int32Array(128), new Int32Array(128)];
    run('tiles', 'meetings', 4, 32, [wanted('data', data), wanted('out', out)]);
    expect([...out]).toEqual(Array.from(out, (_, at) => 3 * (127 - at)));
    expect([...data]).toEqual(Array.from(data, (_, at) => out[(at + 1) % 128]));
    const tooMany = () => run('tiles', 'meetings', 129, 32, [wanted('data', data), wanted('out', out)]);
    expect(tooMany).toThrow(/a cooperative launch of 129 blocks is too large: at most 128 run together/);
  });

  test.each([
    [0, 3, 101],
    [1, 3, 111],
    [1, 64, 110],
  ])('counts of a block: from %i, wanted %i', (least, wantedThread, expected) => {
    const x = Int32Array.from({ length: 64 }, (_, at) => (at === 5 ? 11 : least));
    const out = new Int32Array(64);
    run('tiles', 'counts', 1, 64, [given('x', x), wanted('out', out), value(wantedThread)]);
    expect([...out]).toEqual(new Array(64).fill(expected));
  });
});

describe('calls', () => {
  test('of a function that calls itself', () => {
    const out = new Int32Array(40);
    run('recursion', 'recursion', 1, 40, [wanted('out', out)]);
    const numbers = [0, 1];
    for (let at = 2; at < 12; at++) numbers.push(numbers[at - 1]! + numbers[at - 2]!);
    expect([...out]).toEqual(Array.from(out, (_, at) => numbers[at % 12]));
  });

  test('by addresses in a table, and virtual ones', () => {
    const [which, x] = [wholes(40, 3), Float32Array.from({ length: 40 }, () => below(100))];
    const out = new Float32Array(40);
    run('recursion', 'pointers', 1, 40, [given('which', which), given('x', x), wanted('out', out)]);
    out.forEach((each, at) => {
      const area = (at & 1 ? 1 : 3) * x[at]! * x[at]!;
      expect(each).toBe([area + 3, area * 3, area - 3][which[at]!]);
    });
  });

  test('of printf and assert', () => {
    const printed: string[] = [];
    const parts = (last: number): Launch => ({
      ...{ module: kernelModule('recursion'), kernel: 'speaks', grid: [1, 1, 1], block: [32, 1, 1] },
      arguments: [
        given(
          'x',
          Int32Array.from({ length: 32 }, (_, at) => (at === 31 ? last : at === 1 ? 10 : at)),
        ),
      ],
      print: (text) => printed.push(text),
    });
    launch(parts(99));
    const lines = [
      'thread 0 of 32: 0   |  0.00|0 1099511627776%',
      'thread 1 of 32: 10  |  3.33|0xa 1099511627776%',
    ];
    expect(printed.join('')).toBe(`${lines.join('\n')}\n`);
    const fault = faultOf(parts(100));
    expect(fault.kind).toBe('trap');
    expect(fault.message).toMatch(
      /thread 31 .* fails the assertion x\[threadIdx\.x\] < 100 \(recursion\.cu:\d+, in /,
    );
    // What was said before is told.
    expect(printed.length).toBe(4);
  });

  test.each([
    ['%5d|%-5d|%05d|%+d', [42n, 42n, 42n, 42n], '   42|42   |00042|+42'],
    ['%u %x %X %o %#x', [2n ** 32n - 1n, 255n, 255n, 8n, 0n], '4294967295 ff FF 10 0'],
    ['%lld %hd %hhu', [2n ** 64n - 5n, 70000n, 300n], '-5 4464 44'],
    ['%.3f %e %g %G', [1.5, 12345.678, 0.0001, 1e20], '1.500 1.234568e+04 0.0001 1E+20'],
    ['%g %g %.0f %f', [100000, 1e6, 2.5, Number.NEGATIVE_INFINITY], '100000 1e+06 2 -inf'],
    ['%*d %.*f %c%% %y', [4n, 7n, 2n, 0.125, 65n], '   7 0.12 A% %y'],
    ['%s %8.2s| %p', [16n, 16n, 4096n], 'text       te| 0x1000'],
  ] as const)('printf %s', (format, values, expected) => {
    const left = [...values];
    const next = (): bigint => {
      const own = left.shift()!;
      return typeof own === 'bigint' ? own : new BigUint64Array(new Float64Array([own]).buffer)[0]!;
    };
    expect(formatText(format, next, () => 'text')).toBe(expected);
  });
});

describe('libraries', () => {
  test.each(['late', 'early', { seed: 5 }] as const)(
    'barriers and pipelines of libcu++, copies %s',
    (copies) => {
      const [x, out, sums] = [wholes(256, 100), new Int32Array(64), new Int32Array(64)];
      const parts = {
        module: kernelModule('pipelines'),
        grid: [1, 1, 1],
        block: [64, 1, 1],
        copies,
      } as const;
      launch({ ...parts, kernel: 'arrivals', arguments: [given('x', x), wanted('out', out)] });
      expect([...out]).toEqual(Array.from(out, (_, at) => x[63 - at]! + 2 * x[at]!));
      launch({ ...parts, kernel: 'stages', arguments: [given('x', x), wanted('out', sums)] });
      expect([...sums]).toEqual(
        Array.from(sums, (_, at) => [0, 1, 2, 3].reduce((sum, k) => sum + x[64 * k + 63 - at]! * (k + 1), 0)),
      );
    },
  );

  test('a sort and a scan of CUB', () => {
    const x = Uint32Array.from({ length: 256 }, () => below(2 ** 16));
    const [sorted, before] = [new Uint32Array(256), new Uint32Array(256)];
    run('block-sort', 'block_sort', 1, 64, [
      given('x', x),
      wanted('sorted', sorted),
      wanted('before', before),
    ]);
    expect(sorted).toEqual(x.toSorted());
    const sums = sorted.map((_, at) => sorted.subarray(0, at).reduce((sum, each) => sum + each, 0));
    expect(before).toEqual(sums);
  });

  test('shared memory of the other blocks of a cluster', () => {
    const [x, out] = [wholes(512, 20), new Int32Array(512)];
    run('clusters', 'neighbours', 8, 64, [given('x', x), wanted('out', out)]);
    const expected = Array.from(x, (own, at) => {
      const [cluster, thread] = [at & ~255, at & 63];
      const sum = [0, 1, 2, 3].reduce((all, k) => all + x[cluster + 64 * k + thread]! * (k + 1), 0);
      return sum + 1000 * (own + (thread < 8 ? 8 : 0)) + ((at >> 6) & 3);
    });
    expect([...out]).toEqual(expected);
  });
});
