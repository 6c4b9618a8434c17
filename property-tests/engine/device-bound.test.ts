/**
 * What WGSL computes of the small programs lies within the bound of the reference; and what the optimizer
 * makes of them is the same in a field, or not decided there.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorBound } from '../../compiler/graph/error-bound.ts';
import { describeEntry } from '../../compiler/lower/entry.ts';
import { compileFor } from '../../driver/compile.ts';
import { lower } from '../../driver/lower.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import { type TensorData, tensorValues } from '../../runtime/weights/tensor-data.ts';
import { instancesOf } from '../instances.ts';
import { checkSmallProgram, exportedEntries } from '../small-programs.ts';
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

async function runBoth(file: string, entry: string, sizes: ReadonlyMap<string, number>) {
  const checked = checkSmallProgram(file);
  const instance = { entry, sizes, inputDtypes: new Map() };
  const wanted = describeEntry(checked.program, entry).inputs;
  const tensors = new Map(wanted.map((each) => [each.path, randomInput(each, sizes, 7)]));
  const lowered = lower(checked, instance);
  if (lowered.kind === 'rejected')
    throw new Error(lowered.diagnostics.map(({ message }) => message).join('; '));
  const loaded = await loadPackage(compileFor(lowered, instance, device.profile).package, device);
  const found = valuesOf(await loaded.run(tensors));
  loaded.destroy();
  const { notes, ...bound } = errorBound();
  const inputs = valuesOf(tensors);
  const reference = runOnReference(lowered.graph)(bound, inputsOver(bound, inputs));
  return { inputs, lowered, found, reference, notes };
}

async function judgeEntry(file: string, entry: string, sizes: ReadonlyMap<string, number>): Promise<Judged> {
  const { inputs, lowered, found, reference, notes } = await runBoth(file, entry, sizes);
  const runs = { left: runOnReference(lowered.graph), right: runOnReference(lowered.optimized) };
  const verdicts = [...reference.keys()].map((path) =>
    judge('===', runs, { left: path, right: path }, inputs),
  );
  return {
    onDevice: withinBound(reference, notes, found),
    optimized: verdicts.find(({ kind }) => kind !== 'holds') ?? { kind: 'holds' },
  };
}

/** Of every kind of program one; the rest take long. */
const files = [
  'pointwise.ricci',
  'softmax.ricci',
  'reductions.ricci',
  'contractions.ricci',
  'dtypes.ricci',
  'order.ricci',
];

/** Overflow on purpose, and NaN among what is compared. */
const undecidedOnDevice: ReadonlySet<string> = new Set(['saturating', 'rows_with_nan']);

test.each(files)('%s', async (file) => {
  const checked = checkSmallProgram(file);
  for (const entry of exportedEntries(checked)) {
    const [sizes] = instancesOf(checked.program, entry);
    const { onDevice, optimized } = await judgeEntry(file, entry, sizes!);
    const expected = undecidedOnDevice.has(entry) ? 'undecided' : 'holds';
    expect(onDevice, `${entry} on the device`).toMatchObject({ kind: expected });
    // Roots of constants are computed in f32 before the program runs: that is not decided in a field.
    expect(optimized.kind, `${entry} optimized`).not.toBe('fails');
  }
});

test('a device that is off by some units in the last place is seen', async () => {
  const checked = checkSmallProgram('pointwise.ricci');
  const entry = 'activations';
  const [sizes] = instancesOf(checked.program, entry);
  const { found, reference, notes } = await runBoth('pointwise.ricci', entry, sizes!);
  expect(withinBound(reference, notes, found)).toEqual({ kind: 'holds' });
  const off = [...found].map(([path, value]) => {
    const data = Array.from(value.data as ArrayLike<number>, (own) => own * (1 + 2 ** -12));
    return [path, { ...value, data }] as const;
  });
  expect(withinBound(reference, notes, new Map(off))).toMatchObject({ kind: 'fails' });
});
