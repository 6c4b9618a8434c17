/**
 * An entry at given sizes on the reference evaluator (as written, and optimized), in WebAssembly and on a
 * WebGPU device, side by side.
 */
import { describeEntry } from '../compiler/lower/entry.ts';
import type { Advice } from '../compiler/tiles/choices/advice.ts';
import type { DeviceProfile } from '../compiler/tiles/device-profile.ts';
import type { Checked } from '../driver/check.ts';
import { compileFor, compileWasm } from '../driver/compile.ts';
import { type Instance, type Lowered, lower } from '../driver/lower.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { dtypeFacts } from '../dsl/types/dtype.ts';
import { wasmDeviceHere } from '../runtime/wasm/features.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import type { OpenedDevice } from '../runtime/webgpu/device.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { type TensorData, tensorValues } from '../runtime/weights/tensor-data.ts';

export type Tensors = ReadonlyMap<string, TensorData>;

/** On the evaluator. */
export interface ReferenceRuns {
  readonly written: Tensors;
  readonly optimized: Tensors;
}

export interface Runs extends ReferenceRuns {
  readonly wgsl: Tensors;
}

export async function runEntry(
  checked: Checked,
  entry: string,
  sizes: ReadonlyMap<string, number>,
  seed: number,
  device: OpenedDevice,
  advice?: Advice,
): Promise<Runs> {
  const instance = { entry, sizes, inputDtypes: new Map(), advice };
  const lowered = loweredEntry(checked, instance);
  const inputs = inputsOf(checked, entry, sizes, seed);
  const compiled = compileFor(lowered, instance, device.profile);
  const loaded = await loadPackage(compiled.package, device);
  try {
    return { ...evaluated(lowered, inputs), wgsl: await loaded.run(inputs) };
  } finally {
    loaded.destroy();
  }
}

interface InWasm {
  readonly device?: DeviceProfile;
  readonly advice?: Advice;
}

/** In WebAssembly. */
export async function runWasm(
  checked: Checked,
  entry: string,
  sizes: ReadonlyMap<string, number>,
  seed: number,
  { device = wasmDeviceHere(), advice }: InWasm = {},
): Promise<Tensors> {
  const instance = { entry, sizes, inputDtypes: new Map(), advice };
  const compiled = compileWasm(loweredEntry(checked, instance), instance, device);
  const loaded = await loadWasm(compiled.package, { threads: 1 });
  try {
    return loaded.run(inputsOf(checked, entry, sizes, seed));
  } finally {
    loaded.destroy();
  }
}

export function evaluateEntry(
  checked: Checked,
  entry: string,
  sizes: ReadonlyMap<string, number>,
  seed: number,
): ReferenceRuns {
  const lowered = loweredEntry(checked, { entry, sizes, inputDtypes: new Map() });
  return evaluated(lowered, inputsOf(checked, entry, sizes, seed));
}

export function loweredEntry(checked: Checked, instance: Instance): Lowered {
  const lowered = lower(checked, instance);
  if (lowered.kind === 'rejected')
    throw new Error(lowered.diagnostics.map(({ message }) => message).join('; '));
  return lowered;
}

function inputsOf(
  checked: Checked,
  entry: string,
  sizes: ReadonlyMap<string, number>,
  seed: number,
): Tensors {
  const { inputs } = describeEntry(checked.program, entry);
  return new Map(inputs.map((each) => [each.path, randomInput(each, sizes, seed)]));
}

function evaluated({ graph, optimized }: Lowered, inputs: Tensors): ReferenceRuns {
  return { written: runReference(graph, inputs), optimized: runReference(optimized, inputs) };
}

/** f32 on a device: sums of up to a few hundred terms and functions of a few ulps. */
export const deviceTolerance = 2e-5;

/** A result in a narrow type may fall on the other side of a rounding: one ulp of the narrow type. */
export function deviceToleranceOf(written: Tensors): number {
  return Math.max(deviceTolerance, ...[...written.values()].map(ulpOf));
}

/** Of a narrow type, of 1. */
function ulpOf({ dtype }: TensorData): number {
  return dtypeFacts[dtype].class === 'float' && dtype !== 'f32' ? 2 ** -dtypeFacts[dtype].mantissa : 0;
}

/**
 * Constants are folded in f32, the evaluator computes in float64: some ulps of f32, times the longest chain.
 */
const foldedTolerance = 1e-6;
/** In a narrow type so many may be that near to where two roundings meet, and fall on the other side. */
const mostBetween = 1 / 1000;

/** Whether two runs of the evaluator, of a program and of what the optimizer made of it, are the same. */
export function areFolded(written: Tensors, optimized: Tensors): boolean {
  return [...written].every(([path, wanted]) => {
    const found = optimized.get(path);
    const off = distance(new Map([[path, wanted]]), optimized);
    if (off <= foldedTolerance || found === undefined) return off <= foldedTolerance;
    const [before, after] = [tensorValues(wanted), tensorValues(found)];
    const others = before.filter((value, at) => !Object.is(value, after[at]) && value !== after[at]);
    return off <= ulpOf(wanted) && others.length <= Math.ceil(before.length * mostBetween);
  });
}

/**
 * How far `found` is from `wanted`, relative to the largest element of each output: the greatest over all
 * outputs. Infinite where shapes differ, or where one has a NaN or an infinity that the other has not.
 */
export function distance(wanted: Tensors, found: Tensors): number {
  return Math.max(
    0,
    ...[...wanted].map(([path, tensor]) => {
      const other = found.get(path);
      if (other === undefined || `${other.shape}` !== `${tensor.shape}` || other.dtype !== tensor.dtype) {
        return Number.POSITIVE_INFINITY;
      }
      return tensorDistance(tensorValues(tensor), tensorValues(other));
    }),
  );
}

function tensorDistance(wanted: Float64Array, found: Float64Array): number {
  const finite = wanted.filter(Number.isFinite);
  const scale = finite.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
  return wanted.reduce((worst, value, place) => {
    const other = found[place] ?? Number.NaN;
    if (Object.is(value, other) || value === other || (Number.isNaN(value) && Number.isNaN(other)))
      return worst;
    const apart = Math.abs(value - other) / scale;
    return Math.max(worst, Number.isNaN(apart) ? Number.POSITIVE_INFINITY : apart);
  }, 0);
}
