/**
 * What is hidden from a softmax has weight 0. Whether 0 times an infinity reaches the result the language
 * leaves open: the sum of all terms is NaN, and one that skips what is hidden is not.
 */
import type { Algebra } from '../../compiler/graph/algebra.ts';
import { float32 } from '../../compiler/graph/float32.ts';
import type { Graph } from '../../compiler/graph/graph.ts';
import { allNodes } from '../../compiler/graph/uses.ts';

export interface NotingFloat32 extends Algebra<number> {
  /** Whether a product had a factor that is infinite or NaN so far. */
  readonly isSingular: () => boolean;
}

export function notingFloat32(): NotingFloat32 {
  let singular = false;
  const mul = (left: number, right: number): number => {
    singular ||= !Number.isFinite(left) || !Number.isFinite(right);
    return float32.functions.mul(left, right);
  };
  return { ...float32, functions: { ...float32.functions, mul }, isSingular: () => singular };
}

/** Whether the program, of which the other was made, may hide an infinity otherwise than it does. */
export function mayHideInfinity(algebra: NotingFloat32, after: Graph): boolean {
  return algebra.isSingular() && allNodes(after).some(({ kind }) => kind === 'softmaxSum');
}
