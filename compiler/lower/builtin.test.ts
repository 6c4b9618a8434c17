/** The built-in functions: softmax, order, prefixes, concatenation, randomness. */
import { expect, test } from 'vitest';
import type { Graph, Scalar } from '../graph/graph.ts';
import { subexpressions } from '../graph/scalar.ts';
import { threefry2x32 } from '../graph/threefry.ts';
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

function softmax(row: readonly number[], visible: (u: number) => boolean): number[] {
  const seen = range(row.length).filter(visible);
  const top = Math.max(...seen.map((u) => row[u]!));
  const total = seen.reduce((z, u) => z + Math.exp(row[u]! - top), 0);
  return row.map((x, u) => (visible(u) ? Math.exp(x - top) / total : 0));
}

const rows = (shape: readonly [number, number], row: (i: number) => readonly number[]) => ({
  shape,
  data: range(shape[0]).flatMap(row),
});

test.each([
  [4, 5],
  [1, 1],
  [3, 0],
  [0, 2],
] as const)('softmax of %i × %i', (n, m) => {
  const x = testNumbers([n, m]);
  const row = (i: number) => range(m).map((j) => at(x, i, j));
  const run = (body: string) => runText(`fn f(x: f32[N, M]) -> f32[N, M] = ${body}`, 'f', { x }).out;
  expectClose(
    run('for i: softmax(x[i])'),
    rows([n, m], (i) => softmax(row(i), () => true)),
  );
  expectClose(
    run('for i: softmax(x[i], where: for j: j < i)'),
    rows([n, m], (i) => softmax(row(i), (j) => j < i)),
  );
  expectClose(
    run('for i: softmax(x[i], where: for j: x[i, j] > 2)'),
    rows([n, m], () => range(m).map(() => 0)),
  );
  expectClose(
    run('for i: softmax(for j: 3 * x[i, j] + 1)'),
    rows([n, m], (i) =>
      softmax(
        row(i).map((value) => 3 * value + 1),
        () => true,
      ),
    ),
  );
});

const attention = `
  import attention
  fn causal(q: f32[S, G * R, A], k: f32[S, G, A], v: f32[S, G, B]) -> f32[S, G * R, B] = attention.causal(q, k, v)`;

test.each([
  [5, 2, 3],
  [1, 1, 1],
  [0, 1, 2],
  [7, 1, 2],
] as const)('causal attention %i, %i × %i', (s, g, r) => {
  const [a, b] = [3, 2];
  const q = testNumbers([s, g * r, a], 1);
  const k = testNumbers([s, g, a], 2);
  const v = testNumbers([s, g, b], 3);
  const wanted = tabulate([s, g * r, b], (i, h, c) => {
    const head = Math.floor(h / r);
    const scores = range(s).map((u) => sum(a, (d) => at(q, i, h, d) * at(k, u, head, d)) / Math.sqrt(a));
    const p = softmax(scores, (u) => u <= i);
    return sum(s, (u) => p[u]! * at(v, u, head, c));
  });
  expectClose(runText(attention, 'causal', { q, k, v }, { sizes: { G: g, R: r } }).out, wanted);
});

function divisionsIn(graph: Graph): number {
  const bodies = graph.nodes.flatMap((node): Scalar[] => (node.kind === 'compute' ? [node.body] : []));
  const isDivision = (part: Scalar) =>
    part.op === 'apply' && (part.function === 'mod' || part.function === 'floordiv');
  return bodies.flatMap((body) => subexpressions(body).filter(isDivision)).length;
}

test('heads of attention are split without divisions, but for the result', () => {
  const inputs = { q: testNumbers([5, 6, 3]), k: testNumbers([5, 2, 3]), v: testNumbers([5, 2, 4]) };
  expect(divisionsIn(lowerText(attention, 'causal', inputs, { sizes: { G: 2, R: 3 } }))).toBe(2);
});

test('top-k: largest first, ties by lowest index, as an index', () => {
  const x = { shape: [2, 5], data: [1, 3, 2, 3, 0, -1, -1, 4, 4, -2] };
  const text = `fn f(x: f32[N, M], t: f32[M]) -> (f32[N, 3], ix(M)[N, 3], f32[N]) where 3 <= M {
    let values = for i: { let (value, place) = top_k[3](x[i])  value }
    let places = for i: { let (value, place) = top_k[3](x[i])  place }
    (values, places, for i: sum k < 3: t[places[i, k]])
  }`;
  const found = runText(text, 'f', { x, t: { shape: [5], data: [1, 10, 100, 1000, 10000] } });
  expect(found['out.0']?.data).toEqual([3, 3, 2, 4, 4, -1]);
  expect(found['out.1']?.data).toEqual([1, 3, 2, 2, 3, 0]);
  expect(found['out.2']?.data).toEqual([1110, 1101]);
});

test('sorting is ascending and stable, of product dimensions and of values that are made', () => {
  const x = testNumbers([6], 3);
  const text = `
    fn values(x: f32[A * B]) -> f32[A * B] { let (v, p) = sort(for (a < A, b < B): -x[(a, b)])  v }
    fn places(x: i32[M]) -> ix(M)[M] { let (v, p) = sort(for i: x[i] % 3)  p }`;
  const descending = x.data.map((value) => -value).sort((left, right) => left - right);
  expectClose(runText(text, 'values', { x }, { sizes: { A: 2, B: 3 } }).out, {
    shape: [6],
    data: descending,
  });
  const integers = { shape: [7], data: [5, 3, 4, -1, 0, 1, 2] };
  expect(runText(text, 'places', { x: integers }).out?.data).toEqual([1, 4, 2, 5, 0, 3, 6]);
});

test('prefixes', () => {
  const x = testNumbers([3, 4], 5);
  const prefix = (body: string) =>
    runText(`fn f(x: f32[N, M]) -> f32[N, M] = for i: ${body}`, 'f', { x }).out;
  const so = (i: number, j: number) => range(j + 1).map((l) => at(x, i, l));
  expectClose(
    prefix('cumsum(x[i])'),
    tabulate([3, 4], (i, j) => so(i, j).reduce((left, right) => left + right)),
  );
  expectClose(
    prefix('cumprod(for j: 2 * x[i, j])'),
    tabulate([3, 4], (i, j) => so(i, j).reduce((left, right) => left * 2 * right, 1)),
  );
  expectClose(
    prefix('cummax(x[i])'),
    tabulate([3, 4], (i, j) => Math.max(...so(i, j))),
  );
});

test.each([
  [2, 3],
  [0, 2],
  [2, 0],
] as const)('concat of %i and %i rows', (n, m) => {
  const x = testNumbers([n, 2], 1);
  const y = testNumbers([m, 2], 2);
  const text = 'fn f(x: f32[N, D], y: f32[M, D]) -> f32[N + M, D] = concat(x, for j, d: y[j, d] * 2)';
  expectClose(
    runText(text, 'f', { x, y }).out,
    tabulate([n + m, 2], (i, d) => (i < n ? at(x, i, d) : 2 * at(y, i - n, d))),
  );
});

const random = `
  fn bits(seed: key) -> u32[3] = for i: random_bits(fold_in(seed, i))
  fn halves(seed: key) -> u32[2] { let (a, b) = split_key(seed)  for i: if i == 0 then random_bits(a) else random_bits(b) }
  fn at_once(seed: key) -> f32[3, 5] = uniform(seed)
  fn bell(seed: key) -> f32[20000] = normal(seed)
  fn made(seed: key) -> key[2] = for i: fold_in(seed, i)
  fn taken(seeds: key[N]) -> u32[N] = for i: random_bits(seeds[i])`;

test('randomness is threefry, each use with counters of its own', () => {
  const seed = { shape: [2], data: [1, 2 ** 31 + 5] };
  const key = seed.data as [number, number];
  const of = (words: readonly number[], purpose: number, counter: number): readonly number[] =>
    threefry2x32(words[0]!, words[1]!, purpose, counter);
  const found = (entry: string) => runText(random, entry, { seed }).out?.data;
  expect(found('bits')).toEqual(range(3).map((i) => of(of(key, 0, i), 4, 0)[0]));
  expect(found('halves')).toEqual([0, 1].map((half) => of(of(key, 1, half), 4, 0)[0]));
  expect(found('at_once')).toEqual(
    range(15).map((place) => Math.floor(of(key, 2, place)[0]! / 256) / 2 ** 24),
  );
  const keys = runText(random, 'made', { seed }).out!;
  expect(keys.shape).toEqual([2, 2]);
  expect(keys.data).toEqual([...of(key, 0, 0), ...of(key, 0, 1)]);
  expect(runText(random, 'taken', { seeds: keys }).out?.data).toEqual(
    [0, 1].map((i) => of(of(key, 0, i), 4, 0)[0]),
  );
});

test('normal numbers have mean 0, variance 1 and no infinities', () => {
  const graph = lowerText(random, 'bell', { seed: { shape: [2], data: [3, 4] } });
  const { data } = evaluateForTest(graph, { seed: { shape: [2], data: [3, 4] } }).out!;
  const moment = (power: number) => data.reduce((total, value) => total + value ** power, 0) / data.length;
  expect(Math.abs(moment(1))).toBeLessThan(0.03);
  expect(Math.abs(moment(2) - 1)).toBeLessThan(0.04);
  expect(Math.abs(moment(4) - 3)).toBeLessThan(0.3);
  expect(data.every(Number.isFinite)).toBe(true);
});
