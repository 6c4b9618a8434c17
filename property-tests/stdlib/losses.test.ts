/** Losses against their formulas written out. */
import { test } from 'vitest';
import {
  expectClose,
  range,
  runText,
  sum,
  type TestTensor,
  tabulate,
  testNumbers,
} from '../../compiler/lower/testing.ts';
import { logsumexp, rowOf, softmax } from './plain.ts';

const [tokens, vocabulary, experts, chosen] = [6, 5, 4, 2];
const logits = testNumbers([tokens, vocabulary], 1);
const scalar = (value: number): TestTensor => ({ shape: [], data: [value] });

test('cross-entropy', () => {
  const text = `import loss
    export fn f(logits: f32[T, V], targets: ix(V)[T]) -> f32 where 1 <= T, 1 <= V =
      loss.mean_cross_entropy(logits, targets)`;
  const targets = { shape: [tokens], data: [0, 4, 2, 2, 1, 3] };
  const found = runText(text, 'f', { logits, targets });
  const wanted = sum(tokens, (t) => -Math.log(softmax(rowOf(logits, t))[targets.data[t]!]!)) / tokens;
  expectClose(found.out, scalar(wanted), 1e-6);
});

const balance = `import loss
  export fn f(logits: f32[T, E], pick: ix(E)[T, K]) -> (f32[E], f32) where 1 <= T, 1 <= E =
    (loss.load(pick), loss.load_balance(logits, pick))`;

test('load balance', () => {
  const router = testNumbers([tokens, experts], 2);
  const pick = tabulate([tokens, chosen], (t, k) => (t * t + k) % experts);
  const found = runText(balance, 'f', { logits: router, pick });
  const share = range(experts).map((e) => pick.data.filter((each) => each === e).length / (tokens * chosen));
  expectClose(found['out.0'], { shape: [experts], data: share }, 1e-6);
  const probability = (e: number): number => sum(tokens, (t) => softmax(rowOf(router, t))[e]!) / tokens;
  const wanted = experts * sum(experts, (e) => share[e]! * probability(e));
  expectClose(found['out.1'], scalar(wanted), 1e-6);
});

test('load balance is 1 where every expert is used alike', () => {
  const router = tabulate([experts, experts], (t, e) => (t === e ? 1.5 : 0));
  const pick = tabulate([experts, 1], (t) => t);
  expectClose(runText(balance, 'f', { logits: router, pick })['out.1'], scalar(1), 1e-6);
});

test('z-loss', () => {
  const text = `import loss
    export fn f(logits: f32[T, E]) -> f32 where 1 <= T, 1 <= E = loss.z_loss(logits)`;
  const wanted = sum(tokens, (t) => logsumexp(rowOf(logits, t)) ** 2) / tokens;
  expectClose(runText(text, 'f', { logits }).out, scalar(wanted), 1e-6);
});
