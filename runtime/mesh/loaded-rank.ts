/** The program of one device of a mesh, ready to run as one rank of a job, on whatever the rank has. */
import { type AxisList, type Mesh, showList } from '../../dsl/placement/placement.ts';
import type { Slice } from '../trace/trace.ts';
import type { Tensors } from '../webgpu/execute.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { Communicator } from './communicator.ts';
import { splitAlong } from './mesh-groups.ts';

/** How the times of kernels in a trace came about. */
export type KernelClock = 'device' | 'one by one' | 'host';

/** Ready to run as the rank of the device's number. */
export interface LoadedRank {
  readonly mesh: Mesh;
  /** Bytes of memory that the device holds. */
  readonly peakBytes: number;
  /**
   * Collective: takes and gives this device's blocks. The first call forms the groups of the mesh.
   * @throws UserError as a run of one device; the other ranks then wait, until they are told.
   */
  readonly run: (inputs: Tensors) => Promise<Map<string, TensorData>>;
  /**
   * Collective: runs on the inputs of the last run, and says what this rank did, by a clock in nanoseconds.
   * Slower where the device has a clock: each kernel is in a pass of its own.
   */
  readonly trace: (now: () => number) => Promise<readonly Slice[]>;
  readonly kernelClock: KernelClock;
  readonly destroy: () => void;
}

/** The groups of a mesh that a program exchanges in, by the text of their axes. */
export type Groups = ReadonlyMap<string, Communicator>;

/** One split for each list of axes, in the order of the program, which is the same on all ranks. */
export async function formGroups(
  world: Communicator,
  mesh: Mesh,
  steps: readonly { readonly axes: AxisList }[],
): Promise<Groups> {
  const groups = new Map<string, Communicator>();
  for (const { axes } of steps)
    if (!groups.has(showList(axes))) groups.set(showList(axes), await splitAlong(world, mesh, axes));
  return groups;
}

export function groupAlong(groups: Groups, axes: AxisList): Communicator {
  return groups.get(showList(axes))!;
}
