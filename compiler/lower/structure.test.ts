/** Lets, calls, records, tuples, choices and roundings: what is computed, and how often. */
import { expect, test } from 'vitest';
import type { ComputeNode, Graph } from '../graph/graph.ts';
import {
  at,
  evaluateForTest,
  expectClose,
  lowerText,
  runText,
  sum,
  tabulate,
  testNumbers,
} from './testing.ts';

function computed(graph: Graph): readonly ComputeNode[] {
  return graph.nodes.filter((node) => node.kind === 'compute');
}

test('a call is lifted over exactly the indices it depends on', () => {
  const text = `
    fn f(x: f32[N], y: f32[M]) -> f32[N, M] = for i, j: g(x[i]) * y[j]
    fn g(x: f32) -> f32 = exp(x) + 1`;
  const inputs = { x: testNumbers([5]), y: testNumbers([3], 2) };
  const graph = lowerText(text, 'f', inputs);
  expect(computed(graph).map(({ result }) => result.shape)).toEqual([[5], [5, 3]]);
  expectClose(
    evaluateForTest(graph, inputs).out,
    tabulate([5, 3], (i, j) => (Math.exp(at(inputs.x, i)) + 1) * at(inputs.y, j)),
  );
});

test('a let that depends on nothing is computed once', () => {
  const text = 'fn f(x: f32[N]) -> f32[N] = for i: { let t = sum j: exp(x[j])  x[i] / t }';
  const inputs = { x: testNumbers([7]) };
  const graph = lowerText(text, 'f', inputs);
  expect(computed(graph).map(({ result }) => result.shape)).toEqual([[], [7]]);
  const total = sum(7, (j) => Math.exp(at(inputs.x, j)));
  expectClose(
    evaluateForTest(graph, inputs).out,
    tabulate([7], (i) => at(inputs.x, i) / total),
  );
});

test('nested reductions', () => {
  const x = testNumbers([4, 3], 1);
  const y = testNumbers([3, 5], 2);
  const text =
    'fn f(x: f32[N, M], y: f32[M, P]) -> f32[N] = for i: sum j: x[i, j] * (sum p: y[j, p] * y[j, p])';
  const square = (j: number) => sum(5, (p) => at(y, j, p) ** 2);
  expectClose(
    runText(text, 'f', { x, y }).out,
    tabulate([4], (i) => sum(3, (j) => at(x, i, j) * square(j))),
  );
});

const records = `
  type Pair(N, M) = { left: f32[N], right: f32[M, N] }
  fn combine(x: f32[N], pair: Pair(N, M)) -> f32[M] = for m: sum n: (x[n] + pair.left[n]) * pair.right[m, n]
  fn one(x: f32[N], pair: Pair(N, M)) -> f32[M] = combine(x, pair)
  fn chosen(x: f32[B, N], pairs: Pair(N, M)[E], pick: ix(E)[B]) -> f32[B, M] = for b: combine(x[b], pairs[pick[b]])
  fn added(x: f32[B, N], pairs: Pair(N, M)[E]) -> f32[B, M] = for b: sum e: combine(x[b], pairs[e])
  fn made(x: f32[N], y: f32[M, N]) -> Pair(N, M) = Pair(right: y, left: 2 * x)
  fn many(x: f32[B, N], y: f32[M, N]) -> Pair(N, M)[B] = for b: Pair(left: x[b], right: for m: x[b] * y[m])
  fn either(x: f32[N], p: Pair(N, M), q: Pair(N, M), c: i32) -> f32[M] = combine(x, if c > 0 then p else q)`;

test('records and arrays of records', () => {
  const [b, n, m, e] = [4, 3, 2, 5];
  const x = testNumbers([b, n], 1);
  const left = testNumbers([e, n], 2);
  const right = testNumbers([e, m, n], 3);
  const combine = (row: number, expert: number, i: number) =>
    sum(n, (j) => (at(x, row, j) + at(left, expert, j)) * at(right, expert, i, j));
  const pick = { shape: [b], data: [4, 1, 1, 0] };
  const pairs = { 'pairs.left': left, 'pairs.right': right };
  expectClose(
    runText(records, 'chosen', { x, pick, ...pairs }).out,
    tabulate([b, m], (row, i) => combine(row, pick.data[row]!, i)),
  );
  expectClose(
    runText(records, 'added', { x, ...pairs }).out,
    tabulate([b, m], (row, i) => sum(e, (expert) => combine(row, expert, i))),
  );
});

test('records that are built, returned and chosen', () => {
  const x = testNumbers([4, 3], 1);
  const row = { shape: [3], data: x.data.slice(0, 3) };
  const y = testNumbers([2, 3], 2);
  const made = runText(records, 'made', { x: row, y });
  expectClose(
    made['out.left'],
    tabulate([3], (i) => 2 * at(x, 0, i)),
  );
  expectClose(made['out.right'], y);
  const many = runText(records, 'many', { x, y });
  expectClose(many['out.left'], x);
  expectClose(
    many['out.right'],
    tabulate([4, 2, 3], (b, m, n) => at(x, b, n) * at(y, m, n)),
  );
  const p = { 'p.left': row, 'p.right': y };
  const q = { 'q.left': testNumbers([3], 5), 'q.right': testNumbers([2, 3], 6) };
  for (const [c, left, right] of [
    [1, p['p.left'], p['p.right']],
    [0, q['q.left'], q['q.right']],
  ] as const) {
    const { out } = runText(records, 'either', { x: row, ...p, ...q, c: { shape: [], data: [c] } });
    expectClose(
      out,
      tabulate([2], (m) => sum(3, (n) => (at(row, n) + at(left, n)) * at(right, m, n))),
    );
  }
});

test('tuples, and an input that is handed through twice', () => {
  const x = testNumbers([3]);
  const text = 'fn f(x: f32[N]) -> (f32[N], f32[N], f32) { let (a, b) = (x, sum i: x[i])  (a, a, b) }';
  const found = runText(text, 'f', { x });
  expectClose(found['out.0'], x);
  expectClose(found['out.1'], x);
  expectClose(found['out.2'], { shape: [], data: [sum(3, (i) => at(x, i))] });
});

test('rounding happens where a type is written', () => {
  const third = { shape: [1], data: [1 / 3] };
  const text = `
    fn written(x: f32[N]) -> f32[N] { let y: bf16[N] = x  for i: 3 * y[i] }
    fn unwritten(x: f32[N]) -> f32[N] { let y = x  for i: 3 * y[i] }
    fn result(x: f32[N]) -> bf16[N] = for i: 3 * half(x[i])
    fn half(x: f32) -> f16 = x
    fn to_integer(x: f32[N]) -> i32[N] = for i: i32(-10 * x[i])`;
  const bf16 = 0.333984375;
  expect(runText(text, 'written', { x: third }).out?.data).toEqual([3 * bf16]);
  expect(runText(text, 'unwritten', { x: third }).out?.data).toEqual([1]);
  const f16 = 0.333251953125;
  expect(runText(text, 'result', { x: third }).out?.data).toEqual([1]);
  expect(3 * f16).not.toBe(1);
  expect(runText(text, 'to_integer', { x: third }).out?.data).toEqual([-3]);
});

test('`float` is what the caller says, read as f32', () => {
  const text = 'fn f(x: float[N], w: float[N]) -> f32 = sum i: x[i] * w[i]';
  const inputs = { x: testNumbers([3]), w: { shape: [3], data: [1, 0.5, 2] } };
  const graph = lowerText(text, 'f', inputs, { dtypes: { w: 'bf16' } });
  expect(graph.inputs.map(({ path, tensor }) => [path, tensor.dtype])).toEqual([
    ['x', 'f32'],
    ['w', 'bf16'],
  ]);
  expectClose(evaluateForTest(graph, inputs).out, {
    shape: [],
    data: [sum(3, (i) => at(inputs.x, i) * at(inputs.w, i))],
  });
});

test('placements and collectives change nothing on one device', () => {
  const text = `
    mesh (sp)
    fn f(x: f32[T@sp, D]) -> f32[T@sp, D] = per_device sp (x) {
      ring sp (x) from acc = 2 * x at j { acc + x * f32(j + 1) }
    }
    fn g(x: f32[T@sp, D]) -> f32[T, D] = x as [T, D]`;
  const x = testNumbers([3, 2]);
  expectClose(
    runText(text, 'f', { x }).out,
    tabulate([3, 2], (t, d) => 3 * at(x, t, d)),
  );
  expectClose(runText(text, 'g', { x }).out, x);
});
