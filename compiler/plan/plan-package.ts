/** The last step of compiling: kernels and their order become an executable package. */

import { UserError } from '../../dsl/diagnostics/user-error.ts';
import { deviceCount, devicesAlong, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import type { Graph, Tensor, TensorId } from '../graph/graph.ts';
import type { WholeShapes } from '../partition/even/even-sizes.ts';
import type { DeviceProfile } from '../tiles/device-profile.ts';
import type { Schedule } from '../tiles/scheduled.ts';
import { expandSteps, uniformStride } from './expand.ts';
import { exchangeUniformBytes, scratchBytes } from './expand-exchange.ts';
import type { Kernel } from './kernel.ts';
import { maxKernelUniforms } from './kernel.ts';
import { type LaunchOrder, launchOrder } from './launch.ts';
import { checkLimits } from './limits.ts';
import { planMemory } from './memory.ts';
import { overlapped } from './overlap.ts';
import {
  type ExchangeStep,
  type LaunchStep,
  type Manifest,
  type Package,
  type PackageKernel,
  type PackageTensor,
  packageFormat,
  packageVersion,
  type Requirements,
} from './package.ts';
import { bufferBytes, packedBytes } from './storage-bytes.ts';
import { allTensors, assignStorages, type StorageId, type Storages } from './storages.ts';

export interface PlanOptions {
  /** The values of the entry's size parameters, for people. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** For inputs of type `ix(n)`, by path: n. */
  readonly below?: ReadonlyMap<string, number>;
  /** What the program calls tensors, where it is not what the graph does. */
  readonly names?: ReadonlyMap<TensorId, string>;
  /** The graph is the program of each of its devices. */
  readonly mesh?: Mesh;
  /** Of inputs and outputs, by path, where the graph is of a device. */
  readonly placements?: {
    readonly inputs: ReadonlyMap<string, Placement>;
    readonly outputs: ReadonlyMap<string, Placement>;
    /** True shapes, where blocks have padding behind the end. */
    readonly whole?: WholeShapes;
  };
}

/**
 * @throws UserError `exceeds-device` when the device cannot run it, before anything is allocated.
 */
export function planPackage(
  graph: Graph,
  scheduled: Schedule,
  compiled: readonly Kernel[],
  device: DeviceProfile,
  options: PlanOptions = {},
): Package {
  const byName = new Map(compiled.map((kernel) => [kernel.name, kernel]));
  if (byName.size !== compiled.length) throw new Error('planning: two kernels have one name');
  const schedule: Schedule = { ...scheduled, steps: overlapped(scheduled.steps, byName) };
  const tensors = withNames(allTensors(graph, schedule), options.names);
  const storages = assignStorages(graph, schedule, byName, tensors);
  const order = launchOrder(graph, schedule, byName, tensors, storages);
  const { slots, slotOf } = assignSlots(graph, order, storages);
  const steps = order.steps.map((step) => onSlots(step, slotOf, options.mesh));
  const known = (axis: string) => options.mesh?.axes.some(({ name }) => name === axis) ?? false;
  const place = (group: 'inputs' | 'outputs', path: string, tensor: number) => {
    const { dtype, shape } = tensors.get(tensor)!;
    const placement = options.placements?.[group].get(path);
    const whole = options.placements?.whole?.[group].get(path);
    return {
      path,
      dtype,
      shape: [...shape],
      slot: slotOf(storages.of(tensor)),
      ...(placement === undefined ? {} : { placement: packagePlacement(placement, known) }),
      ...(whole === undefined ? {} : { whole: [...whole] }),
    };
  };
  const kernels = order.kernels.map((kernel) => packageKernel(kernel, tensors));
  const outputs = graph.outputs.map(({ path, tensor }) => place('outputs', path, tensor));
  const manifest: Manifest = {
    format: packageFormat,
    version: packageVersion,
    target: 'wgsl',
    entry: graph.name,
    sizes: { ...options.sizes },
    ...(options.mesh === undefined ? {} : { mesh: { axes: options.mesh.axes.map((axis) => ({ ...axis })) } }),
    inputs: graph.inputs.map((input) => {
      const below = options.below?.get(input.path);
      return {
        ...place('inputs', input.path, input.tensor.id),
        ...(below === undefined ? {} : { below }),
      };
    }),
    outputs,
    kernels,
    slots,
    steps,
    peakBytes:
      slots.reduce((sum, slot) => sum + slot.bytes, 0) +
      expandSteps({ steps, slots, kernels }).uniforms.length * uniformStride +
      outputs.reduce((sum, output) => sum + bufferBytes(output), 0) +
      exchangeMemory(steps),
    requires: requirements(order.kernels, slots, steps, device),
  };
  const planned: Package = {
    manifest,
    code: new Map(order.kernels.map((kernel) => [kernel.name, kernel.code])),
  };
  checkUniforms(order.kernels, graph.name);
  checkMesh(manifest);
  checkLimits(planned, device);
  return planned;
}

function withNames(
  tensors: ReadonlyMap<TensorId, Tensor>,
  names: ReadonlyMap<TensorId, string> = new Map(),
): ReadonlyMap<TensorId, Tensor> {
  return new Map([...tensors].map(([id, tensor]) => [id, { ...tensor, name: names.get(id) ?? tensor.name }]));
}

/** Axes that the mesh does not have are of one device: they cut nothing. */
function packagePlacement(
  { dims, pending }: Placement,
  known: (axis: string) => boolean,
): NonNullable<PackageTensor['placement']> {
  return {
    dims: dims.map((list) => list.filter(known)),
    pending: [...pending].flatMap(([axis, combiner]) => (known(axis) ? [{ axis, combiner }] : [])),
  };
}

function packageKernel(kernel: Kernel, tensors: ReadonlyMap<TensorId, Tensor>): PackageKernel {
  const { name, workgroupSize, grid, bindings, counters, coordinates = [] } = kernel;
  return {
    name,
    file: `kernels/${name}.wgsl`,
    workgroupSize: [...workgroupSize],
    grid: [...grid],
    bindings: bindings.map((binding) => binding.access),
    counters: counters.length,
    ...(coordinates.length === 0 ? {} : { coordinates: [...coordinates] }),
    tensors: bindings.map((binding) => {
      const tensor = tensors.get(binding.tensor)!;
      return { name: tensor.name, bytes: packedBytes(tensor) };
    }),
  };
}

/** One exchange at a time has totals to hold; where the kernels of each find their work stays. */
function exchangeMemory(steps: readonly LaunchStep[]): number {
  const exchanges = exchangesOf(steps);
  return (
    Math.max(0, ...exchanges.map(scratchBytes)) +
    exchanges.reduce((sum, step) => sum + exchangeUniformBytes(step), 0)
  );
}

function exchangesOf(steps: readonly LaunchStep[]): readonly ExchangeStep[] {
  return steps.flatMap((step) => {
    if (step.kind === 'loop') return exchangesOf(step.steps);
    return step.kind === 'exchange' ? [step] : [];
  });
}

interface SlotAssignment {
  readonly slots: Manifest['slots'];
  readonly slotOf: (storage: StorageId) => number;
}

/** Inputs first, each in a slot of its own: a caller may leave them on the device from call to call. */
function assignSlots(graph: Graph, order: LaunchOrder, storages: Storages): SlotAssignment {
  const slots: Manifest['slots'] = [];
  const slotOfStorage = new Map<StorageId, number>();
  for (const { tensor } of graph.inputs) {
    slotOfStorage.set(storages.of(tensor.id), slots.length);
    slots.push({ bytes: bufferBytes(tensor), role: 'input' });
  }
  const shared = [...order.lifetimes].filter(([storage]) => !slotOfStorage.has(storage));
  const plan = planMemory(
    shared.map(([storage, lifetime]) => ({
      ...lifetime,
      bytes: bufferBytes(storages.tensors[storage]!),
      swapGroup: storages.swapGroups.get(storage),
    })),
  );
  for (const [index, [storage]] of shared.entries())
    slotOfStorage.set(storage, graph.inputs.length + plan.slotOf[index]!);
  for (const bytes of plan.slotBytes) slots.push({ bytes, role: 'work' });
  return {
    slots,
    slotOf: (storage) => {
      const slot = slotOfStorage.get(storage);
      if (slot === undefined)
        throw new Error(`planning: nothing computes ${storages.tensors[storage]?.name ?? storage}`);
      return slot;
    },
  };
}

/** A mesh axis that the mesh does not have is of one device, and takes no part. */
function onSlots(
  step: LaunchStep,
  slotOf: (storage: StorageId) => number,
  mesh: Mesh | undefined,
): LaunchStep {
  switch (step.kind) {
    case 'dispatch':
      return { ...step, slots: step.slots.map(slotOf) };
    case 'copy':
      return { ...step, from: slotOf(step.from), to: slotOf(step.to) };
    case 'exchange': {
      const axes = step.axes.filter((axis) => mesh?.axes.some(({ name }) => name === axis));
      return { ...step, axes, from: slotOf(step.from), to: slotOf(step.to) };
    }
    case 'loop':
      return {
        ...step,
        steps: step.steps.map((inner) => onSlots(inner, slotOf, mesh)),
        swaps: step.swaps.map(([first, second]) => [slotOf(first), slotOf(second)]),
      };
  }
}

function requirements(
  kernels: readonly Kernel[],
  slots: Manifest['slots'],
  steps: readonly LaunchStep[],
  device: DeviceProfile,
): Requirements {
  const most = (values: readonly number[]) => values.reduce((left, right) => Math.max(left, right), 0);
  const scratch = exchangesOf(steps).map(scratchBytes);
  const largest = most([...slots.map((slot) => slot.bytes), ...scratch]);
  const axis = (index: 0 | 1 | 2) => most(kernels.map((kernel) => kernel.workgroupSize[index]));
  const features = new Set(kernels.flatMap((kernel) => kernel.features ?? []));
  if (features.has('subgroups') && device.subgroupSize === undefined)
    throw new Error('planning: a kernel uses subgroups that the device lacks');
  return {
    storageBuffersPerStage: most(kernels.map((kernel) => kernel.bindings.length)),
    bindingBytes: largest,
    bufferBytes: largest,
    workgroupBytes: most(kernels.map((kernel) => kernel.workgroupBytes ?? 0)),
    invocationsPerWorkgroup: most(
      kernels.map(({ workgroupSize: [width, height, depth] }) => width * height * depth),
    ),
    workgroupSize: [axis(0), axis(1), axis(2)],
    workgroupsPerDimension: most(kernels.flatMap((kernel) => [...kernel.grid])),
    features: [...features].sort(),
  };
}

function checkUniforms(kernels: readonly Kernel[], entry: string): void {
  for (const { name, counters, coordinates = [] } of kernels) {
    if (counters.length > maxKernelUniforms)
      throw new UserError(
        'exceeds-device',
        `${entry} nests ${counters.length} loops around ${name}, and ${maxKernelUniforms} are supported`,
        'merge two of the folds into one over the product of their sizes',
      );
    const [loops, axes] = [counters.length, coordinates.length];
    if (loops + axes > maxKernelUniforms)
      throw new UserError(
        'exceeds-device',
        `${entry} has ${name} depend on ${axes} mesh axes and the steps of ${loops} loops, and ` +
          `${maxKernelUniforms} are supported together`,
        'cut over fewer mesh axes there',
      );
  }
}

/** @throws UserError when the graph is of a device of another mesh than it is compiled for. */
function checkMesh({ entry, mesh = { axes: [] }, kernels, steps }: Manifest): void {
  const known = new Set(mesh.axes.map(({ name }) => name));
  const asked = kernels.flatMap(({ coordinates = [] }) => coordinates).find((axis) => !known.has(axis));
  const unlike = exchangesOf(steps).find(({ axes, devices }) => devices !== devicesAlong(mesh, axes));
  if (asked === undefined && unlike === undefined) return;
  const what =
    asked === undefined
      ? `has an ${unlike?.verb} between ${unlike?.devices} devices`
      : `is cut over ${asked}`;
  throw new UserError(
    'exceeds-device',
    `${entry} ${what}, and there are ${deviceCount(mesh)}`,
    'compile it for the mesh that it is for',
  );
}
