/** A kernel as a CUDA device takes it. */
import type { LoopId } from '../../../compiler/graph/graph.ts';
import type { PtxMap } from '../../../compiler/plan/plan-ptx-package.ts';
import type { GridEnd } from '../../../compiler/tiles/ends.ts';
import type { TileBuffer } from '../../../compiler/tiles/tile-program.ts';

/**
 * Its parameters are the addresses of the buffers in the order of `bindings`, aligned to 16 bytes, then those
 * of `maps`, to 64, then a word for each counter, then one for each coordinate.
 */
export interface PtxKernel {
  readonly name: string;
  /** Its text, without the head of a module. */
  readonly entry: string;
  /** The source, of which its `.loc` tell lines. */
  readonly files: readonly string[];
  /** Threads of a block. */
  readonly block: number;
  /** Blocks to launch. */
  readonly grid: readonly [number, number, number];
  /** Of a bounded program, by dimension: where it ends in a run. */
  readonly gridEnds?: readonly (GridEnd | undefined)[];
  readonly bindings: readonly TileBuffer[];
  /** How buffers are copied by boxes. */
  readonly maps: readonly PtxMap[];
  readonly counters: readonly LoopId[];
  readonly coordinates: readonly string[];
  /** Of shared memory, all of which a launch has to ask for: the kernel declares none. */
  readonly sharedBytes: number;
}
