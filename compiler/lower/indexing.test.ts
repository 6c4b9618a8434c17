/**
 * Comprehensions, subscripts and reductions against loops written out, at sizes 0, 1, primes and products.
 */
import { expect, test } from 'vitest';
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

const sizes = [
  [0, 3, 2],
  [3, 0, 2],
  [1, 1, 1],
  [5, 7, 3],
  [4, 6, 2],
] as const;

test.each(sizes)('contractions %i × %i × %i', (m, k, n) => {
  const a = testNumbers([m, k], 1);
  const b = testNumbers([k, n], 2);
  const wanted = tabulate([m, n], (i, j) => sum(k, (l) => at(a, i, l) * at(b, l, j)));
  const text = `
    fn matmul(a: f32[M, K], b: f32[K, N]) -> f32[M, N] = for m, n: sum k: a[m, k] * b[k, n]
    fn by_rows(a: f32[M, K], b: f32[K, N]) -> f32[M, N] = for m: sum k: a[m, k] * b[k]
    fn by_columns(a: f32[M, K], b: f32[K, N]) -> f32[M, N] = for m, n: dot(a[m], b[:, n])
    fn dot(x: f32[D], y: f32[D]) -> f32 = sum d: x[d] * y[d]`;
  for (const entry of ['matmul', 'by_rows', 'by_columns'])
    expectClose(runText(text, entry, { a, b }, { sizes: { M: m, K: k, N: n } }).out, wanted);
});

test.each(sizes)('product dimensions %i × %i × %i', (g, r, a) => {
  const options = { sizes: { G: g, R: r, A: a } };
  const x = testNumbers([g * r, a], 1);
  const y = testNumbers([g, a], 2);
  const z = testNumbers([r, g], 3);
  const run = (signature: string, body: string, inputs: Parameters<typeof runText>[2]) =>
    runText(`fn f${signature} = ${body}`, 'f', inputs, options).out;
  expectClose(
    run('(x: f32[G * R, A], y: f32[G, A]) -> f32[G * R, A]', 'for (g, r), a: x[(g, r), a] * y[g, a]', {
      x,
      y,
    }),
    tabulate([g * r, a], (h, i) => at(x, h, i) * at(y, Math.floor(h / r), i)),
  );
  expectClose(
    run('[G, R, A](z: f32[R, G]) -> f32[G * R]', 'for (g, r): z[r, g]', { z }),
    tabulate([g * r], (h) => at(z, h % r, Math.floor(h / r))),
  );
  expectClose(
    run('(x: f32[G * R, A]) -> f32[R, A, G]', 'for r < R, a, g < G: x[(g, r), a]', { x }),
    tabulate([r, a, g], (j, i, l) => at(x, l * r + j, i)),
  );
  // Stored in parts, read as a whole, and the other way round.
  expectClose(
    run(
      '[G, R, A](z: f32[R, G]) -> f32[G * R]',
      '{ let t[(g < G, r < R)] = exp(z[r, g])  let u[h] = 2 * t[h]  for (g, r): u[(g, r)] + t[(g, r)] }',
      { z },
    ),
    tabulate([g * r], (h) => 3 * Math.exp(at(z, h % r, Math.floor(h / r)))),
  );
  expectClose(
    run('(x: f32[G * R, A], y: f32[G, A]) -> f32', 'sum g < G, r < R, a: x[(g, r), a] * y[g, a]', { x, y }),
    { shape: [], data: [sum(g * r, (h) => sum(a, (i) => at(x, h, i) * at(y, Math.floor(h / r), i)))] },
  );
});

test('three factors', () => {
  const x = testNumbers([3 * 2 * 5, 2], 4);
  const text =
    'fn f(x: f32[A * B * C, D]) -> f32[A * B * C] = for (a, b, c): x[(a, b, c), 1] * f32(b) where 2 <= D';
  const body = text.replace(' where 2 <= D', '').replace('] =', '] where 2 <= D =');
  const { out } = runText(body, 'f', { x }, { sizes: { A: 3, B: 2, C: 5 } });
  expectClose(
    out,
    tabulate([30], (h) => at(x, h, 1) * (Math.floor(h / 5) % 2)),
  );
});

test('shifted, strided, reversed, looked up', () => {
  const x = testNumbers([11], 1);
  const table = testNumbers([5, 3], 2);
  const token = { shape: [4], data: [4, 0, 2, 4] };
  const text = `
    fn shifted(x: f32[N + 2]) -> f32[N] = for i < N: x[i] - 2 * x[i + 1] + x[i + 2]
    fn strided(x: f32[2 * N + 1]) -> f32[N] = for i < N: x[2 * i + 1]
    fn reversed(x: f32[N]) -> f32[N] = for i < N: x[N - 1 - i]
    fn look_up(table: f32[V, D], token: ix(V)[S]) -> f32[S, D] = for s: table[token[s]]
    fn clamped(x: f32[N], place: i32[S]) -> f32[S] where 1 <= N = for s: x[clamp_index[N](place[s] * 3)]`;
  expectClose(
    runText(text, 'shifted', { x }).out,
    tabulate([9], (i) => at(x, i) - 2 * at(x, i + 1) + at(x, i + 2)),
  );
  expectClose(
    runText(text, 'strided', { x }).out,
    tabulate([5], (i) => at(x, 2 * i + 1)),
  );
  expectClose(
    runText(text, 'reversed', { x }).out,
    tabulate([11], (i) => at(x, 10 - i)),
  );
  expectClose(
    runText(text, 'look_up', { table, token }).out,
    tabulate([4, 3], (s, d) => at(table, token.data[s]!, d)),
  );
  const place = { shape: [4], data: [-7, 2, 3, 90] };
  expectClose(
    runText(text, 'clamped', { x, place }).out,
    tabulate([4], (s) => at(x, [0, 6, 9, 10][s]!)),
  );
});

test('a view is not stored', () => {
  const text =
    'fn f(w: f32[E, D, F], x: f32[T, D], pick: ix(E)[T]) -> f32[T, F] = for t: apply(x[t], w[pick[t]])\n';
  const apply = 'fn apply(x: f32[D], w: f32[D, F]) -> f32[F] = for f: sum d: x[d] * w[d, f]';
  const inputs = { w: testNumbers([3, 2, 4]), x: testNumbers([5, 2]), pick: tabulate([5], () => 0) };
  expect(lowerText(text + apply, 'f', inputs).nodes).toHaveLength(1);
});

const reductions: readonly (readonly [string, (row: readonly number[]) => number])[] = [
  ['sum j: x[i, j]', (row) => row.reduce((total, value) => total + value, 0)],
  ['prod j: x[i, j]', (row) => row.reduce((total, value) => total * value, 1)],
  ['max j: x[i, j]', (row) => Math.max(...row)],
  ['min j: x[i, j]', (row) => Math.min(...row)],
  ['mean j: x[i, j]', (row) => row.reduce((total, value) => total + value, 0) / row.length],
  ['f32(argmax j: floor(2 * x[i, j]))', (row) => argOf(row, (value, best) => value > best)],
  ['f32(argmin j: floor(2 * x[i, j]))', (row) => argOf(row, (value, best) => value < best)],
  ['if (any j: x[i, j] > 0.5) then 1.0 else 0.0', (row) => Number(row.some((value) => value > 0.5))],
  ['if (all j: x[i, j] > -0.5) then 1.0 else 0.0', (row) => Number(row.every((value) => value > -0.5))],
];

/** The first place with the best value; values are rounded so that there are ties. */
function argOf(row: readonly number[], better: (value: number, best: number) => boolean): number {
  const values = row.map((value) => Math.floor(2 * value));
  return values.reduce((best, value, place) => (better(value, values[best]!) ? place : best), 0);
}

test.each(reductions)('%s', (body, wanted) => {
  for (const shape of [
    [1, 1],
    [5, 7],
    [3, 4],
    [0, 2],
  ]) {
    const x = testNumbers(shape, 9);
    const { out } = runText(`fn f(x: f32[N, M]) -> f32[N] where 1 <= M = for i: ${body}`, 'f', { x });
    const row = (i: number) => range(shape[1]!).map((j) => at(x, i, j));
    expectClose(
      out,
      tabulate([shape[0]!], (i) => wanted(row(i))),
    );
  }
});

test('reductions over nothing', () => {
  const text = (body: string, dtype = 'f32') => `fn f(x: ${dtype}[M]) -> ${dtype} = ${body}`;
  const x = { shape: [0], data: [] };
  const value = (body: string, dtype?: string) => runText(text(body, dtype), 'f', { x }).out?.data[0];
  expect(value('sum j: x[j]')).toBe(0);
  expect(value('prod j: x[j]')).toBe(1);
  expect(value('max j: x[j]')).toBe(Number.NEGATIVE_INFINITY);
  expect(value('min j: x[j]')).toBe(Number.POSITIVE_INFINITY);
  expect(value('max j: x[j]', 'i32')).toBe(-(2 ** 31));
  expect(value('sum j: x[j]', 'u32')).toBe(0);
  expect(value('any j: x[j]', 'bool')).toBe(0);
  expect(value('all j: x[j]', 'bool')).toBe(1);
});

test('what is made in parts and read by the whole is stored by the whole', () => {
  const text = `
    fn f(x: f32[S, 2 * P], y: f32[S, 2 * P]) -> f32[S, S] {
      let a = for s: turned(x[s])
      let b = for s: turned(y[s])
      for s, u: sum d: a[s, d] * b[u, d]
    }
    fn turned(x: f32[2 * P]) -> f32[2 * P] = for (half < 2, j < P): if half == 0 then -x[(1, j)] else exp(x[(0, j)])`;
  const x = testNumbers([4, 6], 1);
  const y = testNumbers([4, 6], 2);
  const graph = lowerText(text, 'f', { x, y });
  const shapes = graph.nodes.map((node) => node.kind === 'compute' && node.result.shape);
  expect(shapes).toEqual([
    [4, 6],
    [4, 6],
    [4, 4],
  ]);
  const turned = (t: typeof x, s: number, d: number) =>
    d < 3 ? -at(t, s, d + 3) : Math.exp(at(t, s, d - 3));
  expectClose(
    evaluateForTest(graph, { x, y }).out,
    tabulate([4, 4], (s, u) => sum(6, (d) => turned(x, s, d) * turned(y, u, d))),
  );
});

test('a sum in a branch reads what its condition allows only', () => {
  const x = testNumbers([4, 3], 1);
  const place = { shape: [6], data: [-1, 0, 3, 4, 2, -7] };
  const rowSum = (i: number) => sum(3, (d) => at(x, i, d));
  const inside = (i: number) => 0 <= i && i < 4;
  const run = (body: string) =>
    runText(`fn f(x: f32[N, D], place: i32[T]) -> f32[T] = ${body}`, 'f', { x, place });
  const wanted = (otherwise: number) =>
    tabulate([6], (t) => (inside(at(place, t)) ? rowSum(at(place, t)) : otherwise));
  expectClose(
    run('for t: { let i = place[t] if 0 <= i and i < N then sum d: x[i, d] else -1 }').out,
    wanted(-1),
  );
  expectClose(
    run('for t: { let i = place[t] if i < 0 or N <= i then -2 else sum d: x[i, d] }').out,
    wanted(-2),
  );
  expectClose(
    run(
      'for t: { let i = place[t] if not (0 <= i) then -3 else if i < N then { let y[d] = log(exp(x[i, d])) sum d: y[d] } else -3 }',
    ).out,
    wanted(-3),
    1e-6,
  );
});
