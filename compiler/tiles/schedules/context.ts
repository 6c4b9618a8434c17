/** What every schedule is given. */
import type { LoopNode, Node, NodeKind, Tensor, TensorId, TensorType } from '../../graph/graph.ts';
import type { Choice } from '../choices/choice.ts';
import type { Problem } from '../choices/problem.ts';
import type { DeviceProfile } from '../device-profile.ts';
import type { ScheduledStep } from '../scheduled.ts';
import type { ThreadShape, TileProgram, TileStatement } from '../tile-program.ts';

export interface ScheduleContext {
  readonly device: DeviceProfile;
  /** Any tensor of the graph, or a temporary. */
  readonly tensors: (id: TensorId) => Tensor;
  /** A new tensor that lives between the kernels of one node. */
  readonly temporary: (name: string, type: TensorType & Pick<Tensor, 'ends'>) => Tensor;
  /** Makes a kernel: its name is made unique, its buffers and counters are found from its body. */
  readonly kernel: (parts: KernelParts) => ScheduledStep;
  /** Schedules another node in this one's place. */
  readonly node: (node: Exclude<Node, LoopNode>) => readonly ScheduledStep[];
  /** Schedules a problem as chosen for it. */
  readonly problem: (problem: Problem) => readonly ScheduledStep[];
}

export interface KernelParts {
  /** `map_h`. */
  readonly name: string;
  readonly grid: readonly number[];
  /** By axis of the grid, where some end in a run. */
  readonly gridEnds?: TileProgram['gridEnds'];
  readonly threads: ThreadShape;
  readonly cluster?: number;
  readonly isAlone?: boolean;
  readonly body: readonly TileStatement[];
  /** Of tensors in the body those that a workgroup has to itself. */
  readonly scratch?: readonly TensorId[];
  readonly choice?: Choice;
  /** The same with room for another one of its form beside it (`fuse-kernels.ts`). */
  readonly beside?: () => Omit<KernelParts, 'name'>;
}

/** How nodes of one kind become kernels. Nothing to compute (a result without elements) gives no step. */
export type NodeSchedule<K extends NodeKind> = (
  node: Node & { readonly kind: K },
  context: ScheduleContext,
) => readonly ScheduledStep[];
