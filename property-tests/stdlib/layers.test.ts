/** Linear maps, norms, activations, feed-forward networks and rotary positions against loops written out. */
import { expect, test } from 'vitest';
import { at, expectClose, range, runText, sum, tabulate, testNumbers } from '../../compiler/lower/testing.ts';
import { dot, erf, matrixOf, rowOf, sigmoid, silu } from './plain.ts';

const [tokens, d, f] = [3, 7, 5];
const x = testNumbers([tokens, d], 1);
const weight = testNumbers([d], 2);
const bias = testNumbers([d], 3);
const epsilon = { shape: [], data: [0.03125] };

test('linear maps and embedding rows', () => {
  const text = `import linear
    export fn f(x: f32[T, D], w: f32[O, D], b: f32[O], token: ix(O)[T]) -> (f32[T, O], f32[T, O], f32[T, D]) =
      (for t: linear.linear(x[t], w), for t: linear.linear_bias(x[t], w, b), for t: linear.embed(token[t], w))`;
  const w = testNumbers([f, d], 4);
  const b = testNumbers([f], 5);
  const token = { shape: [tokens], data: [4, 0, 2] };
  const found = runText(text, 'f', { x, w, b, token });
  const product = (t: number, o: number): number => dot(rowOf(x, t), rowOf(w, o));
  expectClose(found['out.0'], tabulate([tokens, f], product));
  expectClose(
    found['out.1'],
    tabulate([tokens, f], (t, o) => product(t, o) + at(b, o)),
  );
  expectClose(
    found['out.2'],
    tabulate([tokens, d], (t, j) => at(w, token.data[t]!, j)),
  );
});

test('norms', () => {
  const text = `import norm
    export fn f(x: f32[T, D], weight: f32[D], bias: f32[D], epsilon: f32) -> (f32[T, D], f32[T, D], f32[T, D])
      where 1 <= D = (
        for t: norm.rms_norm(x[t], weight, epsilon),
        for t: norm.layer_norm(x[t], weight, bias, epsilon),
        for t: norm.layer_norm_1p(x[t], weight, bias, epsilon),
      )`;
  const found = runText(text, 'f', { x, weight, bias, epsilon });
  const e = epsilon.data[0]!;
  const rms = (t: number): number => Math.sqrt(sum(d, (j) => at(x, t, j) ** 2) / d + e);
  const mean = (t: number): number => sum(d, (j) => at(x, t, j)) / d;
  const deviation = (t: number): number => Math.sqrt(sum(d, (j) => (at(x, t, j) - mean(t)) ** 2) / d + e);
  expectClose(
    found['out.0'],
    tabulate([tokens, d], (t, j) => (at(x, t, j) / rms(t)) * at(weight, j)),
  );
  const normal = (t: number, j: number): number => (at(x, t, j) - mean(t)) / deviation(t);
  expectClose(
    found['out.1'],
    tabulate([tokens, d], (t, j) => normal(t, j) * at(weight, j) + at(bias, j)),
  );
  expectClose(
    found['out.2'],
    tabulate([tokens, d], (t, j) => normal(t, j) * (1 + at(weight, j)) + at(bias, j)),
  );
});

const activations: readonly (readonly [string, (x: number) => number])[] = [
  ['sigmoid(x)', sigmoid],
  ['relu(x)', (v) => Math.max(v, 0)],
  ['relu2(x)', (v) => Math.max(v, 0) ** 2],
  ['silu(x)', silu],
  ['swiglu(x, 3)', (v) => 3 * silu(v)],
  ['gelu(x)', (v) => (v / 2) * (1 + erf(v / Math.SQRT2))],
  ['gelu_tanh(x)', (v) => (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)))],
  ['softplus(x)', (v) => Math.log(1 + Math.exp(v))],
  ['soft_cap(x, 0.5)', (v) => 0.5 * Math.tanh(2 * v)],
  ['square(x)', (v) => v * v],
];

test.each(activations)('%s', (call, plain) => {
  const values = tabulate([9], (i) => (i - 4) * 0.7);
  const found = runText(`export fn f(x: f32[N]) -> f32[N] = ${call}`, 'f', { x: values });
  expectClose(found.out, { shape: [9], data: values.data.map(plain) }, 1e-6);
});

test('softplus and logsumexp do not overflow', () => {
  const text = 'export fn f(x: f32[N]) -> (f32[N], f32) where 1 <= N = (softplus(x), logsumexp(x))';
  const found = runText(text, 'f', { x: { shape: [3], data: [-200, 0, 200] } });
  expectClose(found['out.0'], { shape: [3], data: [0, Math.log(2), 200] }, 1e-6);
  expectClose(found['out.1'], { shape: [], data: [200] }, 1e-6);
});

test('feed-forward networks without a gate', () => {
  const text = `import mlp
    export fn f(x: f32[T, D], w: mlp.Mlp(D, F)) -> (f32[T, D], f32[T, D]) =
      (for t: mlp.relu2_mlp(x[t], w), for t: mlp.gelu_mlp(x[t], w))`;
  const up = testNumbers([f, d], 6);
  const down = testNumbers([d, f], 7);
  const found = runText(text, 'f', { x, 'w.up': up, 'w.down': down });
  const network = (activation: (x: number) => number) =>
    tabulate([tokens, d], (t, j) => {
      const hidden = matrixOf(up).map((row) => activation(dot(row, rowOf(x, t))));
      return dot(rowOf(down, j), hidden);
    });
  expectClose(
    found['out.0'],
    network((v) => Math.max(v, 0) ** 2),
  );
  expectClose(
    found['out.1'],
    network((v) => (v / 2) * (1 + erf(v / Math.SQRT2))),
    1e-6,
  );
});

test('rotary positions, of a whole head and of a part', () => {
  const text = `import rotary
    export fn f(x: f32[T, 6], position: i32[T]) -> (f32[T, 6], f32[T, 6]) =
      (for t: rotary.rotate(x[t], position[t], 100), for t: rotary.rotate_part[2](x[t], position[t], 100))`;
  const heads = testNumbers([4, 6], 8);
  const position = { shape: [4], data: [0, 1, 5, 300] };
  const found = runText(text, 'f', { x: heads, position });
  /** As Llama does: component j is paired with j + pairs, and turned by position · θ^(−j / pairs). */
  const rotated = (pairs: number) =>
    tabulate([4, 6], (t, i) => {
      if (i >= 2 * pairs) return at(heads, t, i);
      const j = i % pairs;
      const angle = position.data[t]! * 100 ** (-j / pairs);
      const [first, second] = [at(heads, t, j), at(heads, t, j + pairs)];
      return i < pairs
        ? first * Math.cos(angle) - second * Math.sin(angle)
        : second * Math.cos(angle) + first * Math.sin(angle);
    });
  expectClose(found['out.0'], rotated(3), 1e-6);
  expectClose(found['out.1'], rotated(2), 1e-6);
});

test('a score of rotated rows depends on the distance of their positions only', () => {
  const text = `import rotary
    export fn f(q: f32[8], k: f32[8], p: i32) -> f32 =
      sum a: rotary.rotate(q, p + 3, 50)[a] * rotary.rotate(k, p, 50)[a]`;
  const [q, k] = [testNumbers([8], 9), testNumbers([8], 10)];
  const scores = range(4).map((n) => runText(text, 'f', { q, k, p: { shape: [], data: [17 * n] } }).out!);
  for (const score of scores) expectClose(score, scores[0]!, 1e-6);
  expect(Math.abs(scores[0]!.data[0]! - dot(q.data, k.data))).toBeGreaterThan(0.01);
});
