/**
 * An entry compiled for all values of a size up to a bound, run at some of them, beside the program of that
 * size. Whatever lies behind the ends is made to be NaN, or no index.
 */
import { evaluateGraph } from '../compiler/graph/evaluate.ts';
import { float64 } from '../compiler/graph/float64.ts';
import type { Graph } from '../compiler/graph/graph.ts';
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import { elementBytes, packedBytes } from '../compiler/plan/storage-bytes.ts';
import type { Checked } from '../driver/check.ts';
import { compileFor, compilePtx, compileWasm } from '../driver/compile.ts';
import type { Lowered } from '../driver/lower.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { dtypeFacts } from '../dsl/types/dtype.ts';
import { emulatorDevice } from '../runtime/cuda/emulator-device.ts';
import { loadCuda } from '../runtime/cuda/load.ts';
import { wasmDeviceHere } from '../runtime/wasm/features.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import type { OpenedDevice } from '../runtime/webgpu/device.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { copyBox } from '../runtime/weights/boxes.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { hasInputs } from './instances.ts';
import { areFolded, deviceToleranceOf, distance, loweredEntry, type Tensors } from './run-entry.ts';

type Sizes = ReadonlyMap<string, number>;

export interface BoundedTrial {
  readonly checked: Checked;
  readonly entry: string;
  /** Of the other sizes. */
  readonly others: Sizes;
  readonly size: string;
  readonly bound: number;
  /** What the size is in one run after the other; those that the entry does not admit are left out. */
  readonly lengths: readonly number[];
}

/** @throws UserError when it is not one program for all these sizes */
export function loweredWithin({ checked, entry, others, size, bound }: BoundedTrial): Lowered {
  const bounds = new Map([[size, bound]]);
  return loweredEntry(checked, { entry, sizes: others, bounds, inputDtypes: new Map() });
}

/** What is wrong with the bounded graphs, as written and optimized; undefined when nothing is. */
export function faultInGraphs(trial: BoundedTrial, lowered: Lowered): string | undefined {
  for (const { length, inputs, wanted } of runsOf(trial, lowered))
    for (const graph of [lowered.graph, lowered.optimized]) {
      const fill = remains[trial.lengths.indexOf(length) % remains.length]!;
      const found = evaluateBounded(graph, inputs, new Map([[trial.size, length]]), wanted, fill);
      const which = graph === lowered.graph ? '' : ', optimized';
      if (!areFolded(wanted, found))
        return `${trial.size} = ${length}${which}: ${distance(wanted, found)} off`;
    }
  return undefined;
}

/** What is wrong in WebAssembly. */
export async function faultInWasm(trial: BoundedTrial, lowered: Lowered): Promise<string | undefined> {
  const { entry, others, size, bound } = trial;
  const instance = { entry, sizes: others, bounds: new Map([[size, bound]]), inputDtypes: new Map() };
  const compiled = compileWasm(lowered, instance, wasmDeviceHere());
  const loaded = await loadWasm(compiled.package, { threads: 1 });
  try {
    return await faultIn(trial, lowered, async (inputs, sizes) => loaded.run(inputs, sizes));
  } finally {
    loaded.destroy();
  }
}

/** What is wrong as PTX, in the emulator. */
export async function faultAsPtx(trial: BoundedTrial, lowered: Lowered): Promise<string | undefined> {
  const { entry, others, size, bound } = trial;
  const instance = { entry, sizes: others, bounds: new Map([[size, bound]]), inputDtypes: new Map() };
  const device = emulatorDevice();
  const loaded = loadCuda(compilePtx(lowered, instance, device.target).package, device);
  try {
    return await faultIn(trial, lowered, loaded.run);
  } finally {
    device.release();
  }
}

/** What is wrong on the device. */
export async function faultOnDevice(
  trial: BoundedTrial,
  lowered: Lowered,
  device: OpenedDevice,
): Promise<string | undefined> {
  const { entry, others, size, bound } = trial;
  const instance = { entry, sizes: others, bounds: new Map([[size, bound]]), inputDtypes: new Map() };
  const loaded = await loadPackage(compileFor(lowered, instance, device.profile).package, device);
  try {
    return await faultIn(trial, lowered, loaded.run);
  } finally {
    loaded.destroy();
  }
}

type Run = (inputs: Tensors, sizes: Sizes) => Promise<Tensors>;

async function faultIn(trial: BoundedTrial, lowered: Lowered, run: Run): Promise<string | undefined> {
  await spoil(trial, run);
  for (const { length, inputs, wanted } of runsOf(trial, lowered)) {
    const off = distance(wanted, await run(inputs, new Map([[trial.size, length]])));
    if (off > deviceToleranceOf(wanted)) return `${trial.size} = ${length}: ${off} off`;
  }
  return undefined;
}

/** Runs on NaN at the bound: what is left of a run must not be seen in the next. */
async function spoil({ checked, entry, others, size, bound }: BoundedTrial, run: Run): Promise<void> {
  const sizes = new Map([...others, [size, bound]]);
  if (!isAdmitted(checked, entry, sizes)) return;
  const spoilt = [...inputsAt(checked, entry, sizes)].map(([path, tensor]): [string, TensorData] => {
    const isFloat = dtypeFacts[tensor.dtype].class === 'float';
    return [path, isFloat ? { ...tensor, bytes: new Uint8Array(tensor.bytes.length).fill(255) } : tensor];
  });
  await run(new Map(spoilt), new Map([[size, bound]]));
}

function* runsOf({ checked, entry, others, size, lengths }: BoundedTrial, { bounded }: Lowered) {
  for (const length of lengths) {
    const sizes = new Map([...others, [size, length]]);
    if (length < (bounded?.least.get(size) ?? 0) || !isAdmitted(checked, entry, sizes)) continue;
    const inputs = inputsAt(checked, entry, sizes);
    const own = loweredEntry(checked, { entry, sizes, inputDtypes: new Map() });
    yield { length, inputs, wanted: runReference(own.graph, inputs) };
  }
}

function isAdmitted({ program }: Checked, entry: string, sizes: Sizes): boolean {
  return (
    solveEntrySizes(program, entry, new Map(), sizes).kind === 'sizes' && hasInputs(program, entry, sizes)
  );
}

function inputsAt({ program }: Checked, entry: string, sizes: Sizes): Tensors {
  const { inputs } = describeEntry(program, entry);
  return new Map(inputs.map((each) => [each.path, randomInput(each, sizes, 7)]));
}

function evaluateBounded(
  graph: Graph,
  inputs: Tensors,
  sizes: Sizes,
  wanted: Tensors,
  fill: number,
): Tensors {
  const values = graph.inputs.map(({ path, tensor }) => {
    const { dtype, shape } = tensor;
    return [
      tensor.id,
      { dtype, shape, data: tensorValues(withRoom(inputs.get(path)!, shape, fill)) },
    ] as const;
  });
  const outputs = evaluateGraph(graph, new Map(values), float64, undefined, sizes);
  return new Map(
    [...outputs].map(([path, { dtype, shape, data }]) => {
      const whole = tensorFromValues(dtype, shape, Float64Array.from(data as ArrayLike<number>));
      const own = wanted.get(path)!.shape;
      const bytes = new Uint8Array(packedBytes({ dtype, shape: own }));
      copyBox(whole.bytes, shape, bytes, own, elementBytes(dtype));
      return [path, { dtype, shape: own, bytes }];
    }),
  );
}

/** Bytes of what lies behind ends: NaN and −1, or floats close to 0 and the least integers: no indices. */
const remains = [0xff, 0x80] as const;

function withRoom(tensor: TensorData, shape: readonly number[], fill: number): TensorData {
  const bytes = new Uint8Array(packedBytes({ dtype: tensor.dtype, shape })).fill(fill);
  copyBox(tensor.bytes, tensor.shape, bytes, shape, elementBytes(tensor.dtype));
  return { dtype: tensor.dtype, shape, bytes };
}
