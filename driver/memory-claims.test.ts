/**
 * What plans promise of memory, of every example and of the library's attention, experts and losses: nothing
 * has a number for each pair of positions, for each token and expert, or for each token and word; weights of
 * experts are read by grouped products alone; and a device allocates what the plan says.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expandSteps } from '../compiler/plan/expand.ts';
import type { LaunchStep, Manifest } from '../compiler/plan/package.ts';
import { type DeviceProfile, leastDevice } from '../compiler/tiles/device-profile.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import { allocateMemory } from '../runtime/webgpu/package-memory.ts';
import { type Checked, checkFile } from './check.ts';
import { packageRoot } from './package-root.ts';
import { checkText, compileEntry } from './testing.ts';

const library = checkText(`
import attention
import llama
import loss
import mixtral
import moe
export fn full(q: f32[S, G * R, A], k: f32[S, G, A], v: f32[S, G, A]) -> f32[S, G * R, A] =
  attention.full(q, k, v)
export fn windowed(q: bf16[S, G * R, A], k: bf16[S, G, A], v: bf16[S, G, A]) -> f32[S, G * R, A] =
  attention.windowed[64](q, k, v)
export fn capped(q: f32[S, G * R, A], k: f32[S, G, A], v: f32[S, G, A]) -> f32[S, G * R, A] =
  attention.causal_capped(q, k, v, 3.0)
export fn documents(q: f32[S, G * R, A], k: f32[S, G, A], v: f32[S, G, A], d: i32[S]) -> f32[S, G * R, A] =
  attention.documents(q, k, v, d)
export fn cached(q: f32[S, G * R, A], k: f32[S, G, A], v: f32[S, G, A], from: i32) -> f32[S, G * R, A] =
  attention.cached(q, k, v, from)
export fn dense(tokens: ix(V)[S], weights: llama.Model(V, D, F, G, R, P, L)) -> f32[S, V] =
  llama.model(tokens, weights, 10000.0, 0.00001)
export fn mixed(tokens: ix(V)[S], weights: mixtral.Model(V, D, F, E, G, R, P, L)) -> f32[S, V] where 2 <= E =
  mixtral.model[2](tokens, weights, 10000.0, 0.00001)
export fn predicted(tokens: ix(N)[S], next: ix(N)[S], weights: llama.Model(N, D, F, G, R, P, L)) -> f32
  where 1 <= S = loss.mean_cross_entropy(llama.model(tokens, weights, 10000.0, 0.00001), next)
export fn chosen(x: f32[T, D], gate: f32[E, D], experts: moe.Ffn(D, F)[E]) -> f32[T, D] where 2 <= E =
  for t: moe.moe[2](x[t], gate, experts)
export fn of_softmax(x: bf16[T, D], gate: f32[E, D], experts: moe.Ffn(D, F)[E]) -> f32[T, D] where 2 <= E =
  for t: moe.moe_softmax[2](x[t], gate, experts)
export fn with_shared(x: f32[T, D], gate: f32[E, D], experts: moe.Ffn(D, F)[E], shared: moe.Ffn(D, F))
  -> f32[T, D] where 2 <= E =
  for t: moe.moe_shared[2](x[t], gate, experts, shared)
export fn of_groups(
  x: f32[T, D], gate: f32[8 * 8, D], bias: f32[8 * 8], experts: moe.Ffn(D, F)[8 * 8], shared: moe.Ffn(D, F)
) -> f32[T, D] =
  for t: moe.moe_grouped[2, 2, 8](x[t], gate, bias, 2.5, experts, shared)

export fn every_logit(h: f32[S, D], w: f32[N, D]) -> f32[N] where 1 <= S {
  let p[s] = softmax(for n: sum d: h[s, d] * w[n, d])
  for n: mean s: p[s, n]
}
export fn every_expert(x: f32[T, D], gate: f32[E, D], experts: moe.Ffn(D, F)[E]) -> f32[T, E, D] =
  for t, e: moe.ffn(x[t], experts[e])
`);

/** Large where something must not grow with it, small where nothing would be learned from more. */
const [S, T, E, D] = [512, 512, 64, 40];
const sizes: Readonly<Record<string, number>> = {
  ...{ S, T, E, D, K: 2, F: 24 },
  ...{ G: 1, R: 2, A: 8, P: 4, V: 11, L: 2, N: 1600 },
};
const pairs = S * S;
const tokensByExperts = T * E * D;

interface Entry {
  readonly name: string;
  readonly checked: Checked;
}

function entriesOf(checked: Checked): readonly Entry[] {
  const exported = [...checked.program.entries.values()].filter((entry) => entry.exported);
  return exported.map(({ name }) => ({ name, checked }));
}

const examples = readdirSync(join(packageRoot, 'examples'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ricci'))
  .sort()
  .flatMap((name) => {
    const checked = checkFile(join(packageRoot, 'examples', name));
    return checked.kind === 'checked' ? entriesOf(checked) : expect.unreachable();
  });
const entries = [...examples, ...entriesOf(library).filter(({ name }) => !name.startsWith('every_'))];

const plans = new Map<string, Manifest>();

function planOf({ name, checked }: Entry, device: DeviceProfile): Manifest {
  const key = `${name} for ${device.name}`;
  const own = checked.program.entries.get(name)!.sizes;
  // A mesh axis is of one device.
  const given = new Map(own.map((size) => [size, sizes[size] ?? 1]));
  const plan = plans.get(key) ?? compileEntry(checked, name, given, device).compiled.package.manifest;
  plans.set(key, plan);
  return plan;
}

const work = ({ slots }: Manifest) => slots.flatMap(({ role, bytes }) => (role === 'work' ? [bytes] : []));

/** The kernels that bind weights of experts. */
function readersOfExperts({ inputs, steps }: Manifest): readonly string[] {
  const weights = new Set(inputs.flatMap(({ path, slot }) => (path.includes('experts.') ? [slot] : [])));
  const readers = (step: LaunchStep): readonly string[] => {
    if (step.kind === 'loop') return step.steps.flatMap(readers);
    return step.kind === 'dispatch' && step.slots.some((slot) => weights.has(slot)) ? [step.kernel] : [];
  };
  return steps.flatMap(readers);
}

describe.each([
  ['a GPU', { ...leastDevice, name: 'a GPU', maxBindingBytes: 2 ** 30, maxBufferBytes: 2 ** 30 }],
  ['a software adapter', { ...leastDevice, name: 'a software adapter', software: true }],
])('for %s', (_, device) => {
  test.each(entries)(
    '$name stores nothing for pairs of positions, or of tokens and experts or words',
    (entry) => {
      const most = Math.max(0, ...work(planOf(entry, device)));
      expect(most).toBeLessThan(Math.min(pairs, tokensByExperts));
    },
  );

  test.each(entries.filter((entry) => readersOfExperts(planOf(entry, device)).length > 0))(
    '$name reads weights of experts in grouped products alone',
    (entry) => {
      const readers = readersOfExperts(planOf(entry, device));
      expect(readers.filter((name) => !name.startsWith('grouped_'))).toEqual([]);
    },
  );

  test('what has every expert or word for every token is seen by these tests', () => {
    const plan = planOf({ name: 'every_expert', checked: library }, device);
    expect(Math.max(...work(plan))).toBeGreaterThanOrEqual(tokensByExperts);
    expect(readersOfExperts(plan).some((name) => !name.startsWith('grouped_'))).toBe(true);
    const ofLogits = planOf({ name: 'every_logit', checked: library }, device);
    expect(Math.max(...work(ofLogits))).toBeGreaterThanOrEqual(4 * S * sizes.N!);
  });
});

describe('a device allocates what the plan says', () => {
  let opened: OpenedDevice;
  beforeAll(async () => {
    opened = await openDevice(await openAdapter());
  });
  afterAll(() => opened.destroy());

  test.each(entries)('$name', async (entry) => {
    const plan = planOf(entry, opened.profile);
    const memory = await allocateMemory(plan, expandSteps(plan), opened, () => 0);
    memory.destroy();
    expect(Math.abs(memory.bytes - plan.peakBytes)).toBeLessThanOrEqual(plan.peakBytes / 100);
  });
});
