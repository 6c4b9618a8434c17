/** What a back end hands to planning: the text of one kernel and how it is to be started. */
import type { LoopId, TensorId } from '../graph/graph.ts';
import type { GridEnd } from '../tiles/ends.ts';

export type Extent3 = readonly [number, number, number];

/** What launching takes of a kernel of any back end. */
export interface LaunchedKernel {
  /** Unique in its package, an identifier. */
  readonly name: string;
  /** Workgroups in each dimension; nothing is started when one of them is 0. */
  readonly grid: Extent3;
  /** Of a bounded program, by axis of the grid: where it ends in a run. */
  readonly gridEnds?: readonly (GridEnd | undefined)[];
  /** Of the tensors that it is given, in this order. */
  readonly bindings: readonly KernelBinding[];
  /** Loops whose step the kernel reads. */
  readonly counters: readonly LoopId[];
  /** Mesh axes along which it reads where the device is, and sizes of a run; none when left out. */
  readonly coordinates?: readonly string[];
}

export interface Kernel extends LaunchedKernel {
  /** WGSL with the entry point `main`. */
  readonly code: string;
  readonly workgroupSize: Extent3;
  /** Storage buffers: the n-th is `@group(0) @binding(n)`. */
  readonly bindings: readonly KernelBinding[];
  /**
   * Loops whose step the kernel reads. With these or `coordinates`, at most four together, `@group(0)
   * @binding(bindings.length)` is a uniform `vec4<u32>` that holds them in this order.
   */
  readonly counters: readonly LoopId[];
  /** Of workgroup memory; none when left out. */
  readonly workgroupBytes?: number;
  /** Optional WebGPU features that the code enables, such as `shader-f16`. */
  readonly features?: readonly string[];
}

export interface KernelBinding {
  readonly tensor: TensorId;
  readonly access: 'read' | 'write' | 'readwrite';
}

/** Steps of loops and coordinates come in one `vec4<u32>`. */
export const maxKernelUniforms = 4;
