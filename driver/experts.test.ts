/**
 * Experts that are looked up: one routing, a grouped product for two of the weights and one for the third, and
 * only chosen weights are read.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leastDevice } from '../compiler/tiles/device-profile.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { runReference } from './run-reference.ts';
import { checkText, compileEntry } from './testing.ts';

const checked = checkText(`
import moe
export fn mixture(x: f32[T, D], gate: f32[E, D], experts: moe.Ffn(D, F)[E]) -> f32[T, D] where 2 <= E =
  for t: moe.moe[2](x[t], gate, experts)
`);
const sizes = { T: 40, D: 20, F: 24, E: 6 };
const chosen = [0, 2, 3];

let opened: OpenedDevice;
beforeAll(async () => {
  opened = await openDevice(await openAdapter());
});
afterAll(() => opened.destroy());

/** Numbers of both signs, without a pattern that sizes could hide. */
const number = (seed: number) => Math.sin(12.9898 * (seed + 1)) / 2;

function filled(shape: readonly number[], value: (at: number) => number): TensorData {
  const count = shape.reduce((total, extent) => total * extent, 1);
  return tensorFromValues(
    'f32',
    shape,
    Array.from({ length: count }, (_, at) => value(at)),
  );
}

/** Every token has a first component of 1, by which the gate lifts the chosen experts above all others. */
function inputs(unchosen: number): Map<string, TensorData> {
  const { T, D, F, E } = sizes;
  const weights = (rows: number, columns: number, seed: number) =>
    filled([E, rows, columns], (at) =>
      chosen.includes(Math.floor(at / (rows * columns))) ? number(seed + at) : unchosen,
    );
  return new Map([
    ['x', filled([T, D], (at) => (at % D === 0 ? 1 : number(at)))],
    [
      'gate',
      filled([E, D], (at) =>
        at % D !== 0 ? 4 * number(100 + at) : chosen.includes(Math.floor(at / D)) ? 50 : -50,
      ),
    ],
    ['experts.gate', weights(F, D, 1000)],
    ['experts.up', weights(F, D, 2000)],
    ['experts.down', weights(D, F, 3000)],
  ]);
}

async function run(given: ReadonlyMap<string, TensorData>): Promise<Float64Array> {
  const { compiled } = compileEntry(checked, 'mixture', sizes, opened.profile);
  const loaded = await loadPackage(compiled.package, opened);
  const { out } = Object.fromEntries(await loaded.run(given));
  loaded.destroy();
  return tensorValues(out ?? expect.unreachable());
}

test('weights of experts that no token chose are not used, be they NaN', async () => {
  const { lowered } = compileEntry(checked, 'mixture', sizes, opened.profile);
  const { out } = Object.fromEntries(runReference(lowered.graph, inputs(0)));
  const expected = tensorValues(out ?? expect.unreachable());
  const found = await run(inputs(Number.NaN));
  const apart = expected.map((value, at) => Math.abs(value - (found[at] ?? Number.NaN)));
  expect(apart.every((difference) => difference < 1e-5)).toBe(true);
});

test('weights of experts that tokens chose are', async () => {
  const given = inputs(0);
  const up = tensorValues(given.get('experts.up') ?? expect.unreachable());
  const { D, F, E } = sizes;
  const broken = up.map((value, at) => (Math.floor(at / (D * F)) === chosen[1] ? Number.NaN : value));
  given.set('experts.up', tensorFromValues('f32', [E, F, D], broken));
  expect((await run(given)).some(Number.isNaN)).toBe(true);
});

test.each([true, false])(
  'one routing, a grouped product for the gate and what it gates and one behind it, no copies of weights (software: %s)',
  (software) => {
    const { T, D, F } = sizes;
    const device = { ...leastDevice, software };
    const { kernels, package: compiled } = compileEntry(checked, 'mixture', sizes, device).compiled;
    const count = (prefix: string) => kernels.filter(({ name }) => name.startsWith(prefix)).length;
    expect(count('route_')).toBe(1);
    expect(count('grouped_')).toBe(2);
    // Weights gathered for each token would take this much.
    const gathered = 4 * T * 2 * D * F;
    expect(Math.max(...compiled.manifest.slots.map(({ bytes }) => bytes))).toBeLessThan(gathered);
  },
);
