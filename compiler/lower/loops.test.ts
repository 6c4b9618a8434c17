/**
 * Folds and scans: one loop node whatever the count, one run for all rows, nothing repeated that does not
 * change.
 */
import { expect, test } from 'vitest';
import type { LoopNode } from '../graph/graph.ts';
import { allNodes } from '../graph/uses.ts';
import {
  at,
  evaluateForTest,
  expectClose,
  lowerText,
  range,
  runText,
  sum,
  tabulate,
  testNumbers,
} from './testing.ts';

const text = `
  type Layer(D) = { w: f32[D, D], b: f32[D] }
  fn layer(x: f32[D], l: Layer(D)) -> f32[D] = for e: tanh((sum d: x[d] * l.w[d, e]) + l.b[e])
  fn layers(x: f32[D], stack: Layer(D)[L]) -> f32[D] = fold l in stack from h = x: layer(h, l)
  fn batched(x: f32[B, D], stack: Layer(D)[L]) -> f32[B, D] = for b: fold l in stack from h = x[b]: layer(h, l)
  fn nested(x: f32[D], stack: Layer(D)[L]) -> f32[D] = fold l in stack from h = x: fold i < 2 from g = h: layer(g, l)
  fn counted(x: f32[N]) -> f32[N] = fold i < 5 from h = x: h * 0.5 + f32(i)
  fn swapped[C](x: f32[N], y: f32[N]) -> (f32[N], f32[N]) = fold i < C from (a, b) = (x, y): (b, a)
  fn unchanging(x: f32[N], y: f32[N]) -> (f32[N], f32[N]) = fold i < 3 from (a, b) = (x, y): (a, x)
  fn recurrence(x: f32[B, L], a: f32[B]) -> f32[B, L] =
    for b: { let (last, all) = scan v in x[b] from s = 0.0: { let n = a[b] * s + v  (n, n) } all }
  fn collected(xs: f32[L, D]) -> (f32[D], f32[L, D]) =
    scan x in xs from s = (for d < D: 0.0): { let next = s * 0.75 + x  (next, next * 2) }
  fn invariant(x: f32[N]) -> f32 = fold i < 100 from t = 0.0: t + (sum j: exp(x[j]))
  fn keys(seed: key) -> u32[4] {
    let k = fold i < 3 from k = seed: fold_in(k, i)
    for i < 4: random_bits(fold_in(k, i))
  }
  fn by_hand(seed: key) -> u32[4] = for i < 4: random_bits(fold_in(fold_in(fold_in(fold_in(seed, 0), 1), 2), i))`;

function stack(
  layers: number,
  size: number,
): { 'stack.w': ReturnType<typeof testNumbers>; 'stack.b': ReturnType<typeof testNumbers> } {
  return { 'stack.w': testNumbers([layers, size, size], 2), 'stack.b': testNumbers([layers, size], 3) };
}

function applyLayers(
  row: readonly number[],
  layers: ReturnType<typeof stack>,
  order: readonly number[],
): number[] {
  return order.reduce<number[]>(
    (h, l) => {
      return h.map((_, e) =>
        Math.tanh(sum(h.length, (d) => h[d]! * at(layers['stack.w'], l, d, e)) + at(layers['stack.b'], l, e)),
      );
    },
    [...row],
  );
}

test.each([0, 1, 4])('%i layers', (count) => {
  const x = testNumbers([3, 5]);
  const layers = stack(count, 5);
  const row = (b: number) => range(5).map((d) => at(x, b, d));
  const single = { shape: [5], data: row(0) };
  expectClose(runText(text, 'layers', { x: single, ...layers }).out, {
    shape: [5],
    data: applyLayers(row(0), layers, range(count)),
  });
  expectClose(runText(text, 'batched', { x, ...layers }).out, {
    shape: [3, 5],
    data: range(3).flatMap((b) => applyLayers(row(b), layers, range(count))),
  });
  expectClose(runText(text, 'nested', { x: single, ...layers }).out, {
    shape: [5],
    data: applyLayers(
      row(0),
      layers,
      range(count).flatMap((l) => [l, l]),
    ),
  });
});

test('counts, states that swap, states that stay', () => {
  const x = testNumbers([4], 1);
  const y = testNumbers([4], 2);
  const counted = (start: number) => range(5).reduce((h, i) => h * 0.5 + i, start);
  expectClose(runText(text, 'counted', { x }).out, { shape: [4], data: x.data.map(counted) });
  for (const count of [0, 3, 4]) {
    const found = runText(text, 'swapped', { x, y }, { sizes: { C: count } });
    expectClose(found['out.0'], count % 2 === 0 ? x : y);
    expectClose(found['out.1'], count % 2 === 0 ? y : x);
  }
  const found = runText(text, 'unchanging', { x, y });
  expectClose(found['out.0'], x);
  expectClose(found['out.1'], x);
});

test('a state takes an axis for each index that it comes to depend on', () => {
  const inputs = { x: testNumbers([3, 4], 1), a: testNumbers([3], 2) };
  const graph = lowerText(text, 'recurrence', inputs);
  const loops = graph.nodes.filter((node): node is LoopNode => node.kind === 'loop');
  // The first state is a constant: only the body says that there are three of them.
  expect(loops.map((loop) => loop.results.map(({ shape }) => shape))).toEqual([[[3], [4, 3]]]);
  const wanted = tabulate([3, 4], (b, l) =>
    range(l + 1).reduce((state, step) => at(inputs.a, b) * state + at(inputs.x, b, step), 0),
  );
  expectClose(evaluateForTest(graph, inputs).out, wanted);
});

test('what a scan collects', () => {
  const xs = testNumbers([4, 2]);
  const state = (d: number, steps: number) => range(steps).reduce((s, l) => s * 0.75 + at(xs, l, d), 0);
  const found = runText(text, 'collected', { xs });
  expectClose(
    found['out.0'],
    tabulate([2], (d) => state(d, 4)),
  );
  expectClose(
    found['out.1'],
    tabulate([4, 2], (l, d) => 2 * state(d, l + 1)),
  );
});

test('what does not change in a loop is computed before it', () => {
  const x = testNumbers([6]);
  const graph = lowerText(text, 'invariant', { x });
  const [first] = graph.nodes;
  expect(first?.kind === 'compute' && first.reduce?.combiner).toBe('sum');
  const inLoop = graph.nodes.flatMap((node) => (node.kind === 'loop' ? node.body.nodes : []));
  expect(inLoop.some((node) => node.kind === 'compute' && node.reduce !== undefined)).toBe(false);
  expectClose(evaluateForTest(graph, { x }).out, {
    shape: [],
    data: [100 * sum(6, (j) => Math.exp(at(x, j)))],
  });
});

test('keys as states', () => {
  const seed = { shape: [2], data: [7, 11] };
  expectClose(runText(text, 'keys', { seed }).out, runText(text, 'by_hand', { seed }).out!);
});

test('the graph is no larger for more layers', () => {
  const count = (layers: number) =>
    allNodes(lowerText(text, 'layers', { x: testNumbers([5]), ...stack(layers, 5) })).length;
  expect(count(64)).toBe(count(2));
});
