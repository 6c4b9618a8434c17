/**
 * Every small program, at sizes from 0 up, means the same on the evaluator, after the optimizer, in WebAssembly, and as
 * WGSL.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { graphCost } from '../compiler/graph/cost.ts';
import { wasmDevice } from '../compiler/tiles/device-profile.ts';
import type { Checked } from '../driver/check.ts';
import { wasmDeviceHere } from '../runtime/wasm/features.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import { instancesOf } from './instances.ts';
import {
  areFolded,
  deviceTolerance,
  deviceToleranceOf,
  distance,
  evaluateEntry,
  loweredEntry,
  runEntry,
  runWasm,
} from './run-entry.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

/** Operations of what is run. The evaluator takes seconds for more, and finds no more in it. */
const mostWork = 1e6;

function workOf(checked: Checked, entry: string, sizes: ReadonlyMap<string, number>): number {
  return graphCost(loweredEntry(checked, { entry, sizes, inputDtypes: new Map() }).graph).flops;
}

let device: OpenedDevice;
beforeAll(async () => {
  device = await openDevice(await openAdapter());
});
afterAll(() => device.destroy());

describe.each(programFiles)('%s', (file) => {
  const checked = checkSmallProgram(file);
  const entries = exportedEntries(checked).map((entry, place) => ({ entry, place }));
  test.each(entries)('$entry', async ({ entry, place }) => {
    const all = instancesOf(checked.program, entry);
    const instances = all.filter((sizes) => workOf(checked, entry, sizes) <= mostWork);
    expect(instances.length).toBeGreaterThan(0);
    for (const [turn, sizes] of instances.entries()) {
      const at = JSON.stringify([...sizes]);
      // What takes long is that the driver compiles: one of the sizes, another in each entry.
      const isOnDevice = turn === (1 + (place % 7)) % instances.length;
      const runs = isOnDevice
        ? await runEntry(checked, entry, sizes, 7, device)
        : { ...evaluateEntry(checked, entry, sizes, 7), wgsl: undefined };
      expect(areFolded(runs.written, runs.optimized), `optimized, ${at}`).toBe(true);
      const tolerance = deviceToleranceOf(runs.written);
      if (runs.wgsl !== undefined)
        expect(distance(runs.written, runs.wgsl), `wgsl, ${at}`).toBeLessThanOrEqual(tolerance);
      // Every other one, others in each entry.
      if ((turn + place) % 2 === 0 && instances.length > 1) continue;
      const processor = turn % 4 < 2 ? wasmDeviceHere() : wasmDevice;
      const wasm = await runWasm(checked, entry, sizes, 7, { device: processor });
      expect(distance(runs.written, wasm), `wasm, ${at}`).toBeLessThanOrEqual(tolerance);
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
