/** A graph cut into kernels, in the order in which they run: what scheduling gives and planning takes. */
import type { ExchangeNode, LoopNode, Tensor } from '../graph/graph.ts';
import type { Choice } from './choices/choice.ts';
import type { Problem } from './choices/problem.ts';
import type { TileProgram } from './tile-program.ts';

export interface Schedule {
  readonly steps: readonly ScheduledStep[];
  /** Tensors that exist only between kernels (partial sums, tile tables) and are in no graph. */
  readonly temporaries: readonly Tensor[];
}

/** With what was decided, in the order in which it was. */
export interface ChosenSchedule extends Schedule {
  readonly chosen: readonly Chosen[];
}

export interface Chosen {
  readonly problem: Problem;
  readonly choice: Choice;
}

export type ScheduledStep =
  | {
      readonly kind: 'kernel';
      readonly program: TileProgram;
      /** The same with room for another one of its form beside it (`fuse-kernels.ts`). */
      readonly beside?: () => TileProgram;
    }
  /** No kernel of this device: the launch has the devices of a group do it together. */
  | { readonly kind: 'exchange'; readonly node: ExchangeNode }
  /** The states are the inputs of `loop.body`; `steps` computes its outputs. */
  | { readonly kind: 'loop'; readonly loop: LoopNode; readonly steps: readonly ScheduledStep[] };
