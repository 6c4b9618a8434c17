/** What Hopper has beside: barriers that count, the unit that copies, products of warpgroups, clusters. */
import { describe, expect, test } from 'vitest';
import { parsePtx } from '../parse.ts';
import type { FaultKind } from './fault.ts';
import type { CopyTiming } from './grid-plan.ts';
import { type Argument, type Launch, launch } from './launch.ts';
import { narrow, widen } from './soft-float.ts';
import type { TensorMap } from './tensor-map.ts';
import { faultOf, given, kernelText, randomNumbers, value, wanted } from './testing.ts';

const random = randomNumbers(5);
const bf16 = (number: number): number =>
  Number(narrow(number, { format: 'bf16', rounding: 'rn', saturates: false, relu: false }));
const whole = (count: number): Uint16Array =>
  Uint16Array.from({ length: count }, () => bf16(Math.floor(9 * random()) - 4));

function tensorMap(name: string, values: Uint16Array, rows: number, columns: number): Argument {
  const map: TensorMap = {
    buffer: new Uint8Array(values.buffer),
    ...{ type: 'bf16', dims: [columns, rows], strides: [2 * columns], box: [64, 64], swizzle: '128B' },
  };
  return { kind: 'tensorMap', name, map };
}

const text = kernelText('hopper');

/** 50 by 40 results of sums of 200: no extent is a multiple of the tile's. */
function product(
  changed: string,
  copies: CopyTiming,
): { readonly launch: Launch; readonly check: () => void } {
  const [m, n, k] = [50, 40, 200];
  const [a, b, c] = [whole(m * k), whole(n * k), new Uint16Array(m * n)];
  return {
    launch: {
      ...{ module: parsePtx(changed), kernel: 'hopper_product', grid: [1, 1, 1], block: [256, 1, 1] },
      ...{ sharedBytes: 5 * 8192, copies },
      arguments: [tensorMap('a', a, m, k), tensorMap('b', b, n, k), tensorMap('c', c, m, n), value(4)],
    },
    check: () => {
      const [left, right] = [a, b].map((each) => Float64Array.from(each, (bits) => widen(bits, 'bf16')));
      const expected = c.map((_, at) => {
        const [row, column] = [Math.floor(at / n), at % n];
        let sum = 0;
        for (let inner = 0; inner < k; inner++) sum += left![row * k + inner]! * right![column * k + inner]!;
        return bf16(sum);
      });
      expect(c).toEqual(expected);
    },
  };
}

describe('a product through a ring of stages', () => {
  test.each(['late', 'early', { seed: 1 }] as const)('copies and products %j', (copies) => {
    const { launch: parts, check } = product(text, copies);
    launch(parts);
    check();
  });

  const remove = (pattern: RegExp, occurrence = 0, to = ''): string => {
    let at = -1;
    const changed = text.replace(new RegExp(pattern.source, 'g'), (found) =>
      ++at === occurrence ? to : found,
    );
    if (changed === text) throw new Error(`there is no ${pattern} to change`);
    return changed;
  };

  /** The text of those that multiply begins here. */
  const middle = text.indexOf('setmaxnreg.inc');
  const consumer = (change: (part: string) => string): string =>
    text.slice(0, middle) + change(text.slice(middle));
  const producer = (change: (part: string) => string): string =>
    change(text.slice(0, middle)) + text.slice(middle);
  const waits = /mbarrier\.try_wait\.parity\.shared::cta\.b64 done, [^;]*;/g;
  const without =
    (pattern: RegExp) =>
    (part: string): string =>
      part.replace(pattern, 'setp.eq.u32 done, 0, 0;');
  const counting = (warps: number): string =>
    text.replace(/(mbarrier\.init\.shared::cta\.b64 \[%r\d+\]), 4;/g, `$1, ${warps};`);

  const planted: readonly (readonly [string, string, readonly FaultKind[], CopyTiming])[] = [
    ['no fence before results leave', remove(/fence\.proxy\.async\.shared::cta;/), ['missing fence'], 'late'],
    ['no wait for a stage that is full', consumer(without(waits)), ['uninitialised memory'], 'late'],
    ['no wait for a stage that is empty', producer(without(waits)), ['barrier mismatch'], 'late'],
    [
      'a stage that is given back before it was read',
      text.replace(/wgmma\.wait_group\.sync\.aligned 0;/g, 'wgmma.wait_group.sync.aligned 3;'),
      ['race'],
      'late',
    ],
    ['a stage that is never given back', counting(5), ['deadlock'], 'late'],
    ['bytes that never come', text.replaceAll('16384;', '16640;'), ['deadlock'], 'late'],
    [
      'a barrier that nobody began',
      remove(/mbarrier\.init[^;]*;/),
      ['uninitialised memory', 'barrier mismatch'],
      'late',
    ],
    ['one arrival too many', counting(3), ['race', 'uninitialised memory', 'barrier mismatch'], 'late'],
    [
      'a barrier of the results for too many',
      text.replace('bar.sync 1, 128;', 'bar.sync 1, 160;'),
      ['deadlock'],
      'late',
    ],
    [
      'registers that are no multiple of eight',
      text.replace('aligned.u32 232;', 'aligned.u32 230;'),
      ['wrong operand'],
      'late',
    ],
  ];
  test.each(planted)('%s', (_name, changed, kinds, copies) => {
    const fault = faultOf(product(changed, copies).launch);
    expect(kinds, fault.message).toContain(fault.kind);
    expect(fault.place?.line).toBeGreaterThan(20);
  });

  test('sums that are read before they are there', () => {
    const changed = text.replace(/wgmma\.wait_group\.sync\.aligned 0;/g, 'wgmma.wait_group.sync.aligned 1;');
    const { launch: parts } = product(changed, 'late');
    const fault = faultOf({ ...parts, arguments: [...parts.arguments.slice(0, 3), value(1)] });
    expect(fault.message).toMatch(/^uninitialised register: .* product writes which it has not waited for/);
  });

  test('a swizzle that is not the one of the tensor gives other numbers', () => {
    const { launch: parts, check } = product(
      text.replaceAll('4611686293305360384', '-9223371899415822336'),
      'late',
    );
    launch(parts);
    expect(check).toThrow();
  });
});

test('what another block of the cluster has in shared memory', () => {
  const [x, y] = [Int32Array.from({ length: 256 }, (_, at) => at * at), new Int32Array(256)];
  launch({
    ...{ module: parsePtx(text), kernel: 'cluster_sum', grid: [4, 1, 1], block: [64, 1, 1] },
    arguments: [given('x', x), wanted('y', y)],
  });
  expect(y).toEqual(y.map((_, at) => x[at]! + x[(at & ~127) + 127 - (at & 127)]!));
});
