/** Chains that are longer than writers go down at once: they are kernels of which each goes as far as it may. */
import { expect, test } from 'vitest';
import { leastDevice, wasmDevice } from '../compiler/tiles/device-profile.ts';
import { compileFor, compilePtx } from '../driver/compile.ts';
import { checkText } from '../driver/testing.ts';
import { deviceToleranceOf, distance, evaluateEntry, loweredEntry, runWasm } from './run-entry.ts';

/** So many steps, each of which has the one before as often as `step` says it. */
function chain(count: number, step: (before: string) => string): string {
  const lets = Array.from({ length: count }, (_, at) => `  let y${at + 1} = ${step(`y${at}`)}`);
  return `export fn chain(x: f32[N]) -> f32[N] = for i: {\n  let y0 = x[i]\n${lets.join('\n')}\n  y${count}\n}\n`;
}

test.each([
  ['once', (before: string) => `sin(${before}) * 0.5 + 0.25`],
  ['twice', (before: string) => `max(${before} * 0.5, ${before} - 1)`],
])('of 700 steps, each in the next one %s', async (_, step) => {
  const checked = checkText(chain(700, step));
  const sizes = new Map([['N', 8]]);
  const instance = { entry: 'chain', sizes, inputDtypes: new Map() };
  const { written } = evaluateEntry(checked, 'chain', sizes, 7);
  const off = distance(written, await runWasm(checked, 'chain', sizes, 7, { device: wasmDevice }));
  expect(off).toBeLessThanOrEqual(deviceToleranceOf(written));
  const lowered = loweredEntry(checked, instance);
  expect(compilePtx(lowered, instance, 'sm_80').kernels.length).toBeGreaterThan(1);
  expect(compileFor(lowered, instance, leastDevice).kernels.length).toBeGreaterThan(1);
});
