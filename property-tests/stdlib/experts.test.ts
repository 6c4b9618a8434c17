/** Routers, mixtures of experts and upcycling against loops written out. */
import { expect, test } from 'vitest';
import {
  at,
  expectClose,
  range,
  runText,
  sum,
  type TestTensors,
  tabulate,
  testNumbers,
} from '../../compiler/lower/testing.ts';
import { best, dot, gatedNetwork, matrixOf, type Row, rowOf, sigmoid, softmax } from './plain.ts';

const [tokens, d, f, h, experts] = [5, 4, 3, 6, 6];
const x = testNumbers([tokens, d], 1);
const gate = testNumbers([experts, d], 2);
const bias = testNumbers([experts], 3);
const weights: TestTensors = {
  'experts.gate': testNumbers([experts, f, d], 4),
  'experts.up': testNumbers([experts, f, d], 5),
  'experts.down': testNumbers([experts, d, f], 6),
  'shared.gate': testNumbers([h, d], 7),
  'shared.up': testNumbers([h, d], 8),
  'shared.down': testNumbers([d, h], 9),
};

const logits = (t: number): Row => range(experts).map((e) => dot(rowOf(x, t), rowOf(gate, e)));

function network(name: 'experts' | 'shared', t: number, ...expert: readonly number[]): Row {
  const [g, up, down] = ['gate', 'up', 'down'].map((part) =>
    matrixOf(weights[`${name}.${part}`]!, ...expert),
  );
  return gatedNetwork(rowOf(x, t), g!, up!, down!);
}

interface Choice {
  readonly weight: Row;
  readonly pick: Row;
}

const routers: Readonly<Record<string, (scores: Row) => Choice>> = {
  'top_k_softmax[2]': (scores) => {
    const pick = best(scores, 2);
    return { pick, weight: softmax(pick.map((e) => scores[e]!)) };
  },
  'softmax_top_k[2]': (scores) => {
    const pick = best(scores, 2);
    return { pick, weight: pick.map((e) => softmax(scores)[e]!) };
  },
};

test.each(Object.entries(routers))('router %s', (call, plain) => {
  const text = `import router
    export fn f(x: f32[T, E]) -> (f32[T, 2], ix(E)[T, 2]) where 2 <= E = (
      for t: { let (weight, pick) = router.${call}(x[t]) weight },
      for t: { let (weight, pick) = router.${call}(x[t]) pick },
    )`;
  const scores = testNumbers([tokens, experts], 10);
  const found = runText(text, 'f', { x: scores });
  expectClose(
    found['out.0'],
    tabulate([tokens, 2], (t, k) => plain(rowOf(scores, t)).weight[k]!),
    1e-6,
  );
  expectClose(
    found['out.1'],
    tabulate([tokens, 2], (t, k) => plain(rowOf(scores, t)).pick[k]!),
  );
});

/** DeepSeek-V3 with 3 groups of 2, of which 2 are kept: rank by score + bias, weigh by the score alone. */
function grouped(scores: Row): Choice {
  const score = scores.map(sigmoid);
  const rank = score.map((value, e) => value + at(bias, e));
  const kept = best(
    range(3).map((group) => rank[2 * group]! + rank[2 * group + 1]!),
    2,
  );
  const pick = best(
    rank.map((value, e) => (kept.includes(Math.floor(e / 2)) ? value : Number.NEGATIVE_INFINITY)),
    3,
  );
  const total = sum(3, (k) => score[pick[k]!]!);
  return { pick, weight: pick.map((e) => (2.5 * score[e]!) / total) };
}

const mixtures: readonly (readonly [string, (t: number) => Choice, 'shared' | 'alone'])[] = [
  ['moe[2](x[t], gate, experts)', (t) => routers['top_k_softmax[2]']!(logits(t)), 'alone'],
  ['moe_softmax[2](x[t], gate, experts)', (t) => routers['softmax_top_k[2]']!(logits(t)), 'alone'],
  ['moe_shared[2](x[t], gate, experts, shared)', (t) => routers['top_k_softmax[2]']!(logits(t)), 'shared'],
  ['moe_grouped[3, 2, 2](x[t], gate, bias, 2.5, experts, shared)', (t) => grouped(logits(t)), 'shared'],
];

test.each(mixtures)('%s', (call, choice, shared) => {
  const text = `import moe
    export fn f(
      x: f32[T, D], gate: f32[6, D], bias: f32[6], experts: moe.Ffn(D, F)[6], shared: moe.Ffn(D, H),
    ) -> f32[T, D] = for t: moe.${call}`;
  const found = runText(text, 'f', { x, gate, bias, ...weights });
  const wanted = tabulate([tokens, d], (t, j) => {
    const { weight, pick } = choice(t);
    const routed = sum(pick.length, (k) => weight[k]! * network('experts', t, pick[k]!)[j]!);
    return shared === 'shared' ? routed + network('shared', t)[j]! : routed;
  });
  expectClose(found.out, wanted, 1e-6);
});

test('permuting the experts with their router rows changes nothing', () => {
  const text = `import moe
    export fn f(x: f32[T, D], gate: f32[6, D], experts: moe.Ffn(D, F)[6]) -> f32[T, D] =
      for t: moe.moe[2](x[t], gate, experts)`;
  const order = [3, 0, 5, 1, 4, 2];
  const permuted = (name: string) =>
    tabulate(weights[name]!.shape, (e, i, j) => at(weights[name]!, order[e]!, i, j));
  const names = ['experts.gate', 'experts.up', 'experts.down'];
  const before = runText(text, 'f', { x, gate, ...weights });
  const after = runText(text, 'f', {
    x,
    gate: tabulate([experts, d], (e, j) => at(gate, order[e]!, j)),
    ...Object.fromEntries(names.map((name) => [name, permuted(name)])),
  });
  expectClose(after.out, before.out!);
});

test('an upcycled network is the dense network', () => {
  const text = `import moe
    import upcycle
    export fn f(x: f32[T, D], dense: moe.Ffn(D, 3 * F), rows: f32[2, D]) -> f32[T, D] {
      let experts = upcycle.experts[2, 3](dense)
      let gate = upcycle.router_rows[3](rows)
      for t: moe.moe[3](x[t], gate, experts)
    }`;
  const dense = {
    'dense.gate': testNumbers([3 * f, d], 11),
    'dense.up': testNumbers([3 * f, d], 12),
    'dense.down': testNumbers([d, 3 * f], 13),
  };
  const found = runText(text, 'f', { x, rows: testNumbers([2, d], 14), ...dense });
  const [g, up, down] = Object.values(dense).map((tensor) => matrixOf(tensor));
  expectClose(
    found.out,
    tabulate([tokens, d], (t, j) => gatedNetwork(rowOf(x, t), g!, up!, down!)[j]!),
    1e-6,
  );
  expect(found.out?.data.some((value) => Math.abs(value) > 0.01)).toBe(true);
});
