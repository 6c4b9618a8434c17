/** What is at the ends of ranges, at ties, and of nothing is on every target what the language says. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compileFor } from '../driver/compile.ts';
import { lower } from '../driver/lower.ts';
import { isUserError } from '../runtime/errors.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import { tensorValues } from '../runtime/weights/tensor-data.ts';
import { adversarialPrograms, caseFault, cases, runCase } from './adversarial-cases.ts';

const least = 2 ** -149;

let device: OpenedDevice;
beforeAll(async () => {
  device = await openDevice(await openAdapter());
});
afterAll(() => device.destroy());

test.each(Object.entries(cases))('%s', async (_, each) => {
  expect(await caseFault(each, device)).toBeUndefined();
});

test('a case that is wrong is noticed', async () => {
  const all = await runCase(cases['softmax that sees nothing']!, device);
  for (const outputs of all.values())
    expect([...tensorValues(outputs.get('out')!)]).not.toEqual([0, 0, 0, 0, 0, 0]);
});

test.each([2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1])('what has %i elements is refused, or fits', (size) => {
  const refusal = (run: () => unknown): unknown => {
    try {
      return run();
    } catch (error) {
      if (isUserError(error)) return error.code;
      throw error;
    }
  };
  for (const [entry, sizes] of [
    ['wrapped', [['N', size]]],
    ['extremes', [['N', size], ['M', size]]],
    ['weighed', [['N', 1], ['M', size]]],
  ] as const) {
    const instance = { entry, sizes: new Map(sizes), inputDtypes: new Map() };
    const code = refusal(() => {
      const lowered = lower(adversarialPrograms(), instance);
      if (lowered.kind === 'rejected') return 'rejected';
      return compileFor(lowered, instance, device.profile).package.manifest.format;
    });
    expect(typeof code).toBe('string');
    expect(code).not.toBe('ricci-package');
  }
}); // biome-ignore format: one thing

test('subnormals of f32 are themselves, or taken for zero', async () => {
  const each = { entry: 'extremes', sizes: { N: 1, M: 2 }, inputs: { x: [least, -least] } };
  for (const outputs of (await runCase(each, device)).values())
    for (const tensor of outputs.values()) expect([least, -least, 0]).toContain(tensorValues(tensor)[0]! + 0);
});
