/** Whether WGSL kernels on an adapter compute what the evaluator does, on one device and on a mesh. */
import { isNarrow } from '../../compiler/graph/scalar.ts';
import { allTensors } from '../../compiler/graph/uses.ts';
import { optimize } from '../../compiler/optimize/passes.ts';
import { exactOptions } from '../../compiler/partition/collectives/options.ts';
import { localizeOptimized } from '../../compiler/partition/collectives/passes.ts';
import { dividing } from '../../compiler/partition/random-partition.ts';
import type { Package } from '../../compiler/plan/package.ts';
import type { Advice } from '../../compiler/tiles/choices/advice.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import { compileFor } from '../../driver/compile.ts';
import { isUserError } from '../../runtime/errors.ts';
import { loadMesh } from '../../runtime/mesh/run-mesh.ts';
import { runWhole } from '../../runtime/mesh/whole-tensors.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import { inMemory, type StoredTensor } from '../../runtime/weights/stored-tensor.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../../runtime/weights/tensor-data.ts';
import { expectedOutputs, faultOf } from './shaken.ts';
import type { MeshSubject, Subject } from './subject.ts';
import { type Verdict, verdict } from './verdict.ts';

let opened: Promise<OpenedDevice> | undefined;

export function device(): Promise<OpenedDevice> {
  opened ??= openAdapter({ kind: 'software' }).then(openDevice);
  return opened;
}

export async function closeAdapter(): Promise<void> {
  const open = opened;
  opened = undefined;
  (await open)?.destroy();
}

/** @param adviceFor how its schedules are chosen, if not as ever */
export async function runsOnAdapter(
  { program: { graph, inputs } }: Subject,
  adviceFor?: (device: DeviceProfile) => Advice,
): Promise<Verdict> {
  const wanted = expectedOutputs(graph, inputs);
  if (wanted === undefined) return 'not told';
  const adapter = await device();
  const advice = adviceFor?.(adapter.profile);
  const instance = { entry: graph.name, sizes: new Map(), inputDtypes: new Map(), advice };
  const compiled = compileFor({ optimized: optimize(graph), below: new Map() }, instance, adapter.profile);
  const loaded = await loadPackage(compiled.package, adapter);
  try {
    if (loaded.peakBytes > compiled.package.manifest.peakBytes)
      return { broken: `${loaded.peakBytes} bytes held, ${compiled.package.manifest.peakBytes} planned` };
    return verdict(faultOf(wanted, numbers(await loaded.run(tensorsOf(graph, inputs)))));
  } finally {
    loaded.destroy();
  }
}

export async function runsOnMesh(subject: MeshSubject): Promise<Verdict> {
  const { graph, inputs } = subject.program;
  const adapter = await device();
  const compiled = packageOfMesh(subject, adapter.profile);
  const wanted = expectedOutputs(graph, inputs);
  if (compiled === undefined || wanted === undefined || roundsParts(subject)) return 'not told';
  const loaded = await loadMesh(compiled, adapter);
  try {
    const found = await runWhole(loaded, compiled.manifest, storedInputs(subject.program));
    return verdict(faultOf(wanted, numbers(found)));
  } finally {
    loaded.destroy();
  }
}

/** A rounding of the parts is taken for a rounding of the sum: how far it is off follows from the parts. */
function roundsParts({ program: { graph }, partitioned }: MeshSubject): boolean {
  const tensors = new Map(allTensors(graph));
  return graph.outputs.some(({ path, tensor }) => {
    const { dtype } = tensors.get(tensor)!;
    return isNarrow(dtype) && partitioned.device.outputs.get(path)!.pending.size > 0;
  });
}

/** undefined: it is cut as nobody can run it */
export function packageOfMesh(subject: MeshSubject, profile: DeviceProfile): Package | undefined {
  const { program, cut, partitioned } = subject;
  // What is pending at the start is made up for the evaluator: whoever runs a program gives whole tensors.
  const isPending = [...partitioned.device.inputs.values()].some(({ pending }) => pending.size > 0);
  if (cut.rule !== dividing || isPending) return undefined;
  const own = localizeOptimized(partitioned.placed, exactOptions);
  const instance = { entry: program.graph.name, sizes: new Map(), inputDtypes: new Map(), mesh: own.mesh };
  const lowered = { optimized: optimize(own.graph), below: new Map(), device: own };
  return compileFor(lowered, instance, profile).package;
}

export function storedInputs({ graph, inputs }: Subject['program']): ReadonlyMap<string, StoredTensor> {
  return new Map([...tensorsOf(graph, inputs)].map(([path, tensor]) => [path, inMemory(tensor)]));
}

export function tensorsOf(
  graph: Subject['program']['graph'],
  inputs: Subject['program']['inputs'],
): ReadonlyMap<string, TensorData> {
  return new Map(
    graph.inputs.map(({ path, tensor }) => {
      const { dtype, shape, data } = inputs.get(tensor.id)!;
      return [path, tensorFromValues(dtype, shape, Float64Array.from(data as ArrayLike<number>))] as const;
    }),
  );
}

export function numbers(tensors: ReadonlyMap<string, TensorData>): ReadonlyMap<string, Float64Array> {
  return new Map([...tensors].map(([path, tensor]) => [path, tensorValues(tensor)]));
}

/** What a device has no room for is no fault of the compiler's. */
export function orTooLarge<S>(check: (subject: S) => Promise<Verdict>): (subject: S) => Promise<Verdict> {
  return async (subject) => {
    try {
      return await check(subject);
    } catch (error) {
      if (isUserError(error) && error.code === 'exceeds-device') return 'not told';
      throw error;
    }
  };
}
