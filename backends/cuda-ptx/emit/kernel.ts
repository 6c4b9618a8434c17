/** A kernel as a CUDA device takes it. */
import type { LoopId } from '../../../compiler/graph/graph.ts';
import type { GridEnd } from '../../../compiler/tiles/ends.ts';
import type { Packed, TileBuffer } from '../../../compiler/tiles/tile-program.ts';

/** A tensor map (CUDA driver API, `cuTensorMapEncodeTiled`), but for where the tensor is. */
export interface KernelMap {
  /** Which of the buffers it is of. */
  readonly buffer: number;
  readonly dtype: Packed;
  /** Elements along each dimension, the innermost first. */
  readonly shape: readonly number[];
  /** Bytes from one to the next, of all but the innermost. */
  readonly strides: readonly number[];
  /** Elements of what is copied at once. */
  readonly box: readonly number[];
  /** Bytes of a row whose pieces change places in shared memory. */
  readonly swizzle: 32 | 64 | 128;
}

/**
 * Its parameters are the addresses of the buffers in the order of `bindings`, aligned to 16 bytes, then those
 * of `maps`, to 64, then a word for each counter, then one for each coordinate.
 */
export interface PtxKernel {
  readonly name: string;
  /** Its text, without the head of a module. */
  readonly entry: string;
  /** Threads of a block. */
  readonly block: number;
  /** Blocks to launch. */
  readonly grid: readonly [number, number, number];
  /** Of a bounded program, by dimension: where it ends in a run. */
  readonly gridEnds?: readonly (GridEnd | undefined)[];
  readonly bindings: readonly TileBuffer[];
  /** How buffers are copied by boxes. */
  readonly maps: readonly KernelMap[];
  readonly counters: readonly LoopId[];
  readonly coordinates: readonly string[];
  /** Of shared memory, all of which a launch has to ask for: the kernel declares none. */
  readonly sharedBytes: number;
}
