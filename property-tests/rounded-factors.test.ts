/** Where users allow it, matrix units round a factor that is not of 16 bits. */
import { expect, test } from 'vitest';
import { describeEntry } from '../compiler/lower/entry.ts';
import type { Allowance } from '../compiler/tiles/allowances.ts';
import { compilePtx } from '../driver/compile.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { deviceToleranceOf, distance, evaluateEntry, loweredEntry } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';
import { checkSmallProgram } from './small-programs.ts';

/** Products of matrix units in the text, and how far its results are off. */
async function measured(
  file: string,
  entry: string,
  sizes: ReadonlyMap<string, number>,
  allowed: readonly Allowance[],
) {
  const checked = checkSmallProgram(file);
  const instance = { entry, sizes, inputDtypes: new Map(), allowed };
  const lowered = loweredEntry(checked, instance);
  const inputs = new Map(
    describeEntry(checked.program, entry).inputs.map((each) => [each.path, randomInput(each, sizes, 7)]),
  );
  const { written } = evaluateEntry(checked, entry, sizes, 7);
  const { module } = compilePtx(lowered, instance, 'sm_80');
  return {
    products: module.match(/mma\.sync/g)?.length ?? 0,
    off: distance(written, await runPtx(lowered, instance, inputs, { target: 'sm_80' })),
    tolerance: deviceToleranceOf(written),
  };
}

test.each([
  ['units.ricci', 'wide_left', { M: 24, K: 48, N: 24 }],
  ['unit-attention.ricci', 'sliding', { S: 24, G: 1, R: 2, A: 16, B: 16 }],
] as const)('%s: %s', async (file, entry, sizes) => {
  const given = new Map(Object.entries(sizes));
  const [kept, rounded] = [
    await measured(file, entry, given, []),
    await measured(file, entry, given, ['rounded-factors']),
  ];
  expect(kept.off).toBeLessThanOrEqual(kept.tolerance);
  expect(rounded.off).toBeGreaterThan(kept.tolerance);
  expect(rounded.off).toBeLessThan(2 ** -8);
  expect(rounded.products).not.toBe(kept.products);
});
