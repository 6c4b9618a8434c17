/** Weights in few bits against their formats, written out as loops over words. */
import { expect, test } from 'vitest';
import { roundTo } from '../../compiler/graph/rounding.ts';
import {
  at,
  expectClose,
  lowerText,
  runText,
  sum,
  tabulate,
  testNumbers,
} from '../../compiler/lower/testing.ts';
import { optimize } from '../../compiler/optimize/passes.ts';
import { leastDevice } from '../../compiler/tiles/device-profile.ts';
import { scheduleGraph } from '../../compiler/tiles/schedule-graph.ts';

const [tokens, outputs, groups] = [3, 4, 2];
const width = groups * 32;
const x = testNumbers([tokens, width], 1);
const weight = testNumbers([outputs, width], 2);

/** What a group's largest weight is the last step of. */
function scaleOf(row: number, column: number, steps: number): number {
  const first = column - (column % 32);
  const largest = Math.max(...Array.from({ length: 32 }, (_, j) => Math.abs(at(weight, row, first + j))));
  return roundTo('f16', largest / steps);
}

function levelOf(row: number, column: number, steps: number): number {
  return Math.max(-steps, Math.min(steps, Math.round(at(weight, row, column) / scaleOf(row, column, steps))));
}

const kept = (steps: number) =>
  tabulate([outputs, width], (o, i) => levelOf(o, i, steps) * scaleOf(o, i, steps));

/** Eight digits in a word, at their places in it. */
const words = (place: (digit: number) => number) =>
  tabulate([outputs, width / 8], (o, w) => sum(8, (j) => (levelOf(o, w * 8 + j, 7) + 7) * 16 ** place(j)));

test.each([
  ['q8', 127],
  ['q4', 7],
])('%s keeps the nearest of %i steps to each side, and multiplies with them', (format, steps) => {
  const text = `import quantized
    export fn f(x: f32[T, B * 32], w: f32[O, B * 32]) -> (f32[O, B * 32], f32[T, O]) =
      (
        quantized.${format}_weights(quantized.${format}(w)),
        for t: quantized.${format}_linear(x[t], quantized.${format}(w)),
      )`;
  const found = runText(text, 'f', { x, w: weight });
  const wanted = kept(steps);
  expectClose(found['out.0'], wanted);
  const product = (t: number, o: number): number => sum(width, (i) => at(x, t, i) * at(wanted, o, i));
  expectClose(found['out.1'], tabulate([tokens, outputs], product));
  const isNear = (o: number, i: number) =>
    Math.abs(at(weight, o, i) - at(wanted, o, i)) <= 0.501 * scaleOf(o, i, steps);
  expect(wanted.data.filter((_, place) => !isNear(Math.floor(place / width), place % width))).toEqual([]);
});

/** Eight by eight, or eight of a row, with a scale at which the largest is 448. */
test('8-bit floats keep the nearest in blocks, and multiply with them', () => {
  const text = `import quantized
    export fn f(x: f32[T, B * 8], w: f32[O * 8, B * 8]) -> (f32[O * 8, B * 8], f32[T, O * 8]) =
      (
        quantized.f8_weights(quantized.f8[8](w)),
        for t: quantized.f8_linear(quantized.f8_row[8](x[t]), quantized.f8[8](w)),
      )`;
  const square = testNumbers([16, width], 3);
  const found = runText(text, 'f', { x, w: square });
  const largest = (rows: number, value: (i: number, j: number) => number) =>
    Math.max(...Array.from({ length: rows * 8 }, (_, at) => Math.abs(value(at >> 3, at & 7))));
  const near = (value: number, most: number) => roundTo('f8e4m3', value / (most / 448)) * (most / 448);
  const kept = tabulate([16, width], (o, i) => {
    const [row, column] = [o - (o % 8), i - (i % 8)];
    return near(
      at(square, o, i),
      largest(8, (down, along) => at(square, row + down, column + along)),
    );
  });
  const row = tabulate([tokens, width], (t, i) =>
    near(
      at(x, t, i),
      largest(1, (_, along) => at(x, t, i - (i % 8) + along)),
    ),
  );
  expectClose(found['out.0'], kept);
  const product = (t: number, o: number): number => sum(width, (i) => at(row, t, i) * at(kept, o, i));
  expectClose(found['out.1'], tabulate([tokens, 16], product));
});

test('words are those of the format', () => {
  const text = `import quantized
    export fn f(w: f32[O, B * 32]) -> u32[O, B * 4] = quantized.q4(w).words`;
  const { out } = runText(text, 'f', { w: weight });
  expect(out).toEqual(words((j) => j));
  expect(out).not.toEqual(words((j) => 7 - j));
});

test.each(['q8', 'q4'])('products of one token and of many read %s as it is stored', (format) => {
  const text = `import quantized
    export fn f(x: f32[T, B * 32], w: quantized.${format.toUpperCase()}(O, B)) -> f32[T, O] =
      for t: quantized.${format}_linear(x[t], w)`;
  for (const T of [1, 64])
    for (const device of [leastDevice, { ...leastDevice, software: true, subgroupSize: 4 }]) {
      const graph = lowerText(text, 'f', {}, { sizes: { T, B: 4, O: 128 } });
      const { steps, temporaries } = scheduleGraph(optimize(graph), device);
      expect(steps.map(({ kind }) => kind)).toEqual(['kernel']);
      expect(temporaries).toEqual([]);
    }
});
