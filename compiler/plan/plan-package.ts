/** The last step of compiling: kernels and their order become an executable package. */

import { UserError } from '../../dsl/diagnostics/user-error.ts';
import type { Graph } from '../graph/graph.ts';
import type { DeviceProfile } from '../tiles/device-profile.ts';
import type { Schedule } from '../tiles/scheduled.ts';
import { expandSteps, uniformStride } from './expand.ts';
import type { Kernel } from './kernel.ts';
import { maxKernelCounters } from './kernel.ts';
import { type LaunchOrder, launchOrder } from './launch.ts';
import { checkLimits } from './limits.ts';
import { planMemory } from './memory.ts';
import {
  type LaunchStep,
  type Manifest,
  type Package,
  packageFormat,
  packageVersion,
  type Requirements,
} from './package.ts';
import { bufferBytes } from './storage-bytes.ts';
import { allTensors, assignStorages, type StorageId, type Storages } from './storages.ts';

export interface PlanOptions {
  /** The values of the entry's size parameters, for people. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** For inputs of type `ix(n)`, by path: n. */
  readonly below?: ReadonlyMap<string, number>;
}

/**
 * @throws UserError `exceeds-device` when the device cannot run it, before anything is allocated.
 */
export function planPackage(
  graph: Graph,
  schedule: Schedule,
  kernels: readonly Kernel[],
  device: DeviceProfile,
  options: PlanOptions = {},
): Package {
  const byName = new Map(kernels.map((kernel) => [kernel.name, kernel]));
  if (byName.size !== kernels.length) throw new Error('planning: two kernels have one name');
  const tensors = allTensors(graph, schedule);
  const storages = assignStorages(graph, schedule, byName, tensors);
  const order = launchOrder(graph, schedule, byName, tensors, storages);
  const { slots, slotOf } = assignSlots(graph, order, storages);
  const steps = order.steps.map((step) => onSlots(step, slotOf));
  const place = (path: string, tensor: number) => {
    const { dtype, shape } = tensors.get(tensor)!;
    return { path, dtype, shape: [...shape], slot: slotOf(storages.of(tensor)) };
  };
  const outputs = graph.outputs.map((output) => place(output.path, output.tensor));
  const manifest: Manifest = {
    format: packageFormat,
    version: packageVersion,
    target: 'wgsl',
    entry: graph.name,
    sizes: { ...options.sizes },
    inputs: graph.inputs.map((input) => {
      const below = options.below?.get(input.path);
      return { ...place(input.path, input.tensor.id), ...(below === undefined ? {} : { below }) };
    }),
    outputs,
    kernels: order.kernels.map((kernel) => ({
      name: kernel.name,
      file: `kernels/${kernel.name}.wgsl`,
      workgroupSize: [...kernel.workgroupSize],
      grid: [...kernel.grid],
      bindings: kernel.bindings.map((binding) => binding.access),
      counters: kernel.counters.length,
    })),
    slots,
    steps,
    peakBytes:
      slots.reduce((sum, slot) => sum + slot.bytes, 0) +
      expandSteps(steps, slots.length).uniforms.length * uniformStride +
      outputs.reduce((sum, output) => sum + bufferBytes(output), 0),
    requires: requirements(order.kernels, slots, device),
  };
  const planned: Package = {
    manifest,
    code: new Map(order.kernels.map((kernel) => [kernel.name, kernel.code])),
  };
  checkCounters(order.kernels, graph.name);
  checkLimits(planned, device);
  return planned;
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

function onSlots(step: LaunchStep, slotOf: (storage: StorageId) => number): LaunchStep {
  switch (step.kind) {
    case 'dispatch':
      return { ...step, slots: step.slots.map(slotOf) };
    case 'copy':
      return { ...step, from: slotOf(step.from), to: slotOf(step.to) };
    case 'loop':
      return {
        ...step,
        steps: step.steps.map((inner) => onSlots(inner, slotOf)),
        swaps: step.swaps.map(([first, second]) => [slotOf(first), slotOf(second)]),
      };
  }
}

function requirements(
  kernels: readonly Kernel[],
  slots: Manifest['slots'],
  device: DeviceProfile,
): Requirements {
  const most = (values: readonly number[]) => values.reduce((left, right) => Math.max(left, right), 0);
  const largestSlot = most(slots.map((slot) => slot.bytes));
  const axis = (index: 0 | 1 | 2) => most(kernels.map((kernel) => kernel.workgroupSize[index]));
  const features = new Set(kernels.flatMap((kernel) => kernel.features ?? []));
  if (features.has('subgroups') && device.subgroupSize === undefined)
    throw new Error('planning: a kernel uses subgroups that the device lacks');
  return {
    storageBuffersPerStage: most(kernels.map((kernel) => kernel.bindings.length)),
    bindingBytes: largestSlot,
    bufferBytes: largestSlot,
    workgroupBytes: most(kernels.map((kernel) => kernel.workgroupBytes ?? 0)),
    invocationsPerWorkgroup: most(
      kernels.map(({ workgroupSize: [width, height, depth] }) => width * height * depth),
    ),
    workgroupSize: [axis(0), axis(1), axis(2)],
    workgroupsPerDimension: most(kernels.flatMap((kernel) => [...kernel.grid])),
    features: [...features].sort(),
  };
}

function checkCounters(kernels: readonly Kernel[], entry: string): void {
  const deep = kernels.find((kernel) => kernel.counters.length > maxKernelCounters);
  if (deep !== undefined)
    throw new UserError(
      'exceeds-device',
      `${entry} nests ${deep.counters.length} loops around ${deep.name}, and ${maxKernelCounters} are supported`,
      'merge two of the folds into one over the product of their sizes',
    );
}
