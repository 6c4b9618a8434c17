/**
 * Tile programs: one kernel each, the meeting point of the back ends. (The statement language is being filled in;
 * planning relies on the fields below only.)
 */
import type { LoopId, TensorId } from '../graph/graph.ts';

export interface TileProgram {
  /** Unique in its package, readable: `contract_h`, `softmax_scores`. */
  readonly name: string;
  /** In binding order. A tensor occurs once; `readwrite` only where a kernel updates in place. */
  readonly buffers: readonly TileBuffer[];
  /** Loop counters that the body reads, outermost first: passed in by the launch. */
  readonly counters: readonly LoopId[];
}

export interface TileBuffer {
  readonly tensor: TensorId;
  readonly access: 'read' | 'write' | 'readwrite';
}
