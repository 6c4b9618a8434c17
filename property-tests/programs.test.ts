/**
 * Every small program, at sizes from 0 up, means the same on the evaluator, after the optimizer, and as WGSL.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dtypeFacts } from '../dsl/types/dtype.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import { instancesOf } from './instances.ts';
import { distance, type Runs, runEntry } from './run-entry.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

/**
 * Constants are folded in f32, the evaluator computes in float64: some ulps of f32, times the longest chain.
 */
const foldedTolerance = 1e-6;
/** f32 on the device: sums of up to a few hundred terms and functions of a few ulps. */
const deviceTolerance = 2e-5;

let device: OpenedDevice;
beforeAll(async () => {
  device = await openDevice(await openAdapter());
});
afterAll(() => device.destroy());

/** A result in a narrow type may fall on the other side of a rounding: one ulp of the narrow type. */
function toleranceOf(runs: Runs): number {
  const ulps = [...runs.written.values()].map(({ dtype }) =>
    dtypeFacts[dtype].class === 'float' && dtype !== 'f32' ? 2 ** -dtypeFacts[dtype].mantissa : 0,
  );
  return Math.max(deviceTolerance, ...ulps);
}

describe.each(programFiles)('%s', (file) => {
  const checked = checkSmallProgram(file);
  test.each(exportedEntries(checked))('%s', async (entry) => {
    // The largest sizes in every third entry.
    const all = instancesOf(checked.program, entry);
    const instances = [...entry].length % 3 === 0 ? all : all.slice(0, 4);
    expect(instances.length).toBeGreaterThan(0);
    for (const sizes of instances) {
      const runs = await runEntry(checked, entry, sizes, 7, device);
      const at = JSON.stringify([...sizes]);
      expect(distance(runs.written, runs.optimized), `optimized, ${at}`).toBeLessThanOrEqual(foldedTolerance);
      expect(distance(runs.written, runs.wgsl), `wgsl, ${at}`).toBeLessThanOrEqual(toleranceOf(runs));
    }
  });
});

test('the comparison sees a wrong element', async () => {
  const checked = checkSmallProgram('contractions.ricci');
  const sizes = new Map([['M', 5], ['K', 7], ['N', 3]]); // biome-ignore format: one thing
  const runs = await runEntry(checked, 'matmul', sizes, 7, device);
  const [[path, tensor] = expect.unreachable()] = runs.wgsl;
  const bytes = tensor.bytes.map((byte, place) => (place === 18 ? byte ^ 0x40 : byte));
  expect(distance(runs.written, new Map([[path, { ...tensor, bytes }]]))).toBeGreaterThan(deviceTolerance);
});
