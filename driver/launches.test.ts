/** How many kernels a program takes: what follows from each other along the same rows is one. */
import { describe, expect, test } from 'vitest';
import { leastDevice } from '../compiler/tiles/device-profile.ts';
import type { ScheduledStep } from '../compiler/tiles/scheduled.ts';
import { checkText, compileEntry } from './testing.ts';

const checked = checkText(`
import loss
import mixtral
import moe
import norm
import router
export fn softmaxes(x: f32[T, D]) -> f32[T, D] = for t: softmax(x[t])
export fn masked(x: bf16[T, D]) -> f32[T, D] = for t: softmax(x[t], where: for d: d <= t)
export fn rms_norms(x: f32[T, D], w: f32[D]) -> f32[T, D] = for t: norm.rms_norm(x[t], w, 0.00001)
export fn layer_norms(x: bf16[T, D], w: f32[D], b: f32[D]) -> bf16[T, D] where 1 <= D =
  for t: norm.layer_norm(x[t], w, b, 0.00001)
export fn logsumexps(x: f32[T, D]) -> f32[T] = for t: logsumexp(x[t])
export fn cross_entropies(x: f32[T, D], y: ix(D)[T]) -> f32[T] = for t: loss.cross_entropy(x[t], y[t])
export fn choice(x: f32[T, D], y: f32[D]) -> f32[T] where 2 <= D =
  for t: {
    let (weight, pick) = router.top_k_softmax[2](x[t])
    sum k: weight[k] * y[pick[k]]
  }
export fn choice_of_all(x: f32[T, D], y: f32[D]) -> f32[T] where 2 <= D =
  for t: {
    let (weight, pick) = router.softmax_top_k[2](x[t])
    sum k: weight[k] * y[pick[k]]
  }
export fn model(
  tokens: ix(V)[S],
  weights: mixtral.Model(V, D, F, E, G, R, P, L),
  theta: f32,
  epsilon: f32,
) -> f32[S, V] where 2 <= E = mixtral.model[2](tokens, weights, theta, epsilon)
export fn two_rows(x: f32[T, D]) -> f32[T, D] {
  let p[t] = softmax(x[t])
  for t, d: sum u: p[t, d] * p[u, d]
}
`);

function kernelsOf(steps: readonly ScheduledStep[]): number {
  return steps.reduce(
    (total, step) => total + (step.kind === 'loop' ? kernelsOf(step.steps) : step.kind === 'kernel' ? 1 : 0),
    0,
  );
}

function nameOf(step: ScheduledStep): string {
  return step.kind === 'kernel' ? step.program.name : step.kind;
}

function launches(entry: string, software: boolean, sizes: Readonly<Record<string, number>>): number {
  const { compiled } = compileEntry(checked, entry, sizes, { ...leastDevice, software });
  return kernelsOf(compiled.schedule.steps);
}

describe.each([
  ['a GPU', false],
  ['a software adapter', true],
])('for %s', (_, software) => {
  test.each([
    'softmaxes',
    'masked',
    'rms_norms',
    'layer_norms',
    'logsumexps',
    'cross_entropies',
    'choice',
    'choice_of_all',
  ])('%s take one kernel', (entry) => {
    expect(launches(entry, software, { T: 64, D: 96 })).toBe(1);
  });

  test('what reads rows of others waits for all of them', () => {
    expect(launches('two_rows', software, { T: 64, D: 96 })).toBe(2);
  });

  test('a layer of a mixture of experts takes 12', () => {
    const { compiled } = compileEntry(
      checked,
      'model',
      { S: 64, V: 256, D: 64, F: 128, E: 8, G: 4, R: 1, P: 8, L: 2 },
      { ...leastDevice, software },
    );
    const layers = compiled.schedule.steps.flatMap((step) => (step.kind === 'loop' ? [step.steps] : []));
    expect(layers.map((steps) => steps.map(nameOf))).toEqual([
      [
        'rows_rms_norm',
        // Queries, keys and values.
        'contract_sum_and_2_more',
        'map_rotate_and_1_more',
        'attend_sum',
        'contract_h',
        'rows_rms_norm_1',
        // The router, its choice, and whose tokens are whose.
        'contract_sum_3',
        'rows_softmax',
        'route_order_order',
        // The gate's product and the other one.
        'grouped_h',
        'grouped_sum_1',
        // Their weighted sum, which a software adapter has as a product.
        software ? 'contract_block' : 'reduce_block',
      ],
    ]);
  });

  test('a long row by itself is work for the whole device', () => {
    expect(launches('softmaxes', software, { T: 1, D: 40_000 })).toBeGreaterThan(1);
  });
});
