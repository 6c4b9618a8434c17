/** A kernel as a WebGPU device takes it. */
import type { LoopId } from '../../compiler/graph/graph.ts';
import type { GridEnd } from '../../compiler/tiles/ends.ts';
import type { TileBuffer } from '../../compiler/tiles/tile-program.ts';

/**
 * Entry point `main`. Storage buffers are group 0, bindings 0 … n−1 in the order of `bindings`; with
 * `counters` or `coordinates`, binding n is `var<uniform> counters: vec4<u32>`: the steps of loops, outermost
 * first, then the device's coordinates along mesh axes.
 */
export interface WgslKernel {
  readonly name: string;
  readonly code: string;
  readonly workgroupSize: readonly [number, number, number];
  /** Workgroups to dispatch. */
  readonly grid: readonly [number, number, number];
  /** Of a bounded program, by dimension: where it ends in a run. */
  readonly gridEnds?: readonly (GridEnd | undefined)[];
  readonly bindings: readonly TileBuffer[];
  readonly counters: readonly LoopId[];
  readonly coordinates: readonly string[];
  /** Of workgroup memory. */
  readonly workgroupBytes: number;
  /** Optional WebGPU features that the code enables. */
  readonly features: readonly 'subgroups'[];
}
