/** What packages of all targets have: slots for tensors, and what is launched on them in order. */
import type { Mesh, Placement } from '../../dsl/placement/placement.ts';
import type { Extent, Sizes } from '../graph/extent.ts';
import type { Graph, Tensor, TensorId } from '../graph/graph.ts';
import type { WholeShapes } from '../partition/even/even-sizes.ts';
import type { Schedule } from '../tiles/scheduled.ts';
import type { LaunchedKernel } from './kernel.ts';
import { type LaunchOrder, launchOrder } from './launch.ts';
import { planMemory } from './memory.ts';
import { overlapped } from './overlap.ts';
import type { CommonManifest, LaunchStep, PackageTensor } from './package.ts';
import { type Condition, packageCondition, packageEnds, packageExtent } from './package-bounds.ts';
import { bufferBytes } from './storage-bytes.ts';
import { allTensors, assignStorages, type StorageId, type Storages } from './storages.ts';

export interface PlanOptions {
  /** The values of the entry's size parameters, for people. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** For inputs of type `ix(n)`, by path: n. */
  readonly below?: ReadonlyMap<string, number>;
  /** What the program calls tensors, where it is not what the graph does. */
  readonly names?: ReadonlyMap<TensorId, string>;
  /** What the program says of results whose shape in the graph is another, in the same order. */
  readonly results?: ReadonlyMap<TensorId, Tensor>;
  /** Sizes of a run, and by path of inputs of type `ix(n)` what n is in it, where it depends on one. */
  readonly bounded?: {
    readonly most: Sizes;
    readonly least: Sizes;
    readonly belowEnds: ReadonlyMap<string, Extent>;
    /** What must hold of them, and as the program says it. */
    readonly where: readonly Condition[];
  };
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

export interface PlannedLaunches<K extends LaunchedKernel>
  extends Pick<
    CommonManifest,
    'entry' | 'sizes' | 'bounded' | 'where' | 'mesh' | 'inputs' | 'outputs' | 'slots' | 'steps'
  > {
  /** Those that a step launches. */
  readonly kernels: readonly K[];
  readonly tensors: ReadonlyMap<TensorId, Tensor>;
}

export function planLaunches<K extends LaunchedKernel>(
  graph: Graph,
  scheduled: Schedule,
  compiled: readonly K[],
  options: PlanOptions,
): PlannedLaunches<K> {
  const byName = new Map(compiled.map((kernel) => [kernel.name, kernel]));
  if (byName.size !== compiled.length) throw new Error('planning: two kernels have one name');
  const schedule: Schedule = { ...scheduled, steps: overlapped(scheduled.steps, byName) };
  const tensors = withNames(allTensors(graph, schedule), options.names);
  const storages = assignStorages(graph, schedule, byName, tensors);
  const order = launchOrder(graph, schedule, byName, tensors, storages);
  const { slots, slotOf } = assignSlots(graph, order, storages);
  const known = (axis: string) => options.mesh?.axes.some(({ name }) => name === axis) ?? false;
  const place = (group: 'inputs' | 'outputs', path: string, tensor: number) => {
    const { dtype, shape, ends } = options.results?.get(tensor) ?? tensors.get(tensor)!;
    const placement = options.placements?.[group].get(path);
    const whole = options.placements?.whole?.[group].get(path);
    return {
      path,
      dtype,
      shape: [...shape],
      slot: slotOf(storages.of(tensor)),
      ...(placement === undefined ? {} : { placement: packagePlacement(placement, known) }),
      ...(whole === undefined ? {} : { whole: [...whole] }),
      ...packageEnds(ends),
    };
  };
  return {
    entry: graph.name,
    sizes: { ...options.sizes },
    ...boundedOf(options),
    ...(options.mesh === undefined ? {} : { mesh: { axes: options.mesh.axes.map((axis) => ({ ...axis })) } }),
    inputs: graph.inputs.map((input) => {
      const below = options.below?.get(input.path);
      const belowEnd = options.bounded?.belowEnds.get(input.path);
      return {
        ...place('inputs', input.path, input.tensor.id),
        ...(below === undefined ? {} : { below }),
        ...(belowEnd === undefined ? {} : { belowEnd: packageExtent(belowEnd) }),
      };
    }),
    outputs: graph.outputs.map(({ path, tensor }) => place('outputs', path, tensor)),
    slots,
    steps: order.steps.map((step) => onSlots(step, slotOf, options.mesh)),
    kernels: order.kernels,
    tensors,
  };
}

function boundedOf({ bounded }: PlanOptions): Pick<CommonManifest, 'bounded' | 'where'> {
  if (bounded === undefined) return {};
  const { most, least, where } = bounded;
  return {
    ...(where.length === 0 ? {} : { where: where.map(packageCondition) }),
    bounded: [...most].map(([size, bound]) => ({ size, least: least.get(size) ?? 0, most: bound })),
  };
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

interface SlotAssignment {
  readonly slots: CommonManifest['slots'];
  readonly slotOf: (storage: StorageId) => number;
}

/** Inputs first, each in a slot of its own: a caller may leave them on the device from call to call. */
function assignSlots(
  graph: Graph,
  order: Pick<LaunchOrder<LaunchedKernel>, 'lifetimes'>,
  storages: Storages,
): SlotAssignment {
  const slots: CommonManifest['slots'] = [];
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
