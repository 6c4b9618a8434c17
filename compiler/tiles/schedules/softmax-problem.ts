/** Softmax-weighted sums, with what is known of them before it is chosen how they are run. */
import type { ComputeNode, Scalar, SoftmaxSumNode } from '../../graph/graph.ts';
import { iteratorsOf } from '../../graph/scalar.ts';
import { factorsOf, product as productOf } from '../../optimize/contraction.ts';
import { endsOf } from '../ends.ts';
import { type AxisClass, axisClass } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { ContractionProblem } from './contraction.ts';
import { logitsProblem } from './tiled-softmax-sum.ts';
import { type UnitSoftmax, unitSoftmax } from './unit-softmax-factors.ts';

/**
 * The lowest finite f32: no finite logit is below it, and exp(hidden − x) is 0, where that of −∞ − (−∞) would
 * be NaN.
 */
export const hidden = -(2 - 2 ** -23) * 2 ** 127;

/** A softmax over nothing. */
export function zeros({ result }: SoftmaxSumNode): ComputeNode {
  const body: Scalar = { op: 'constant', dtype: 'f32', value: 0 };
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

export interface Score {
  /** Varies with the row; undefined when the score is no product that comes apart. */
  readonly ofRow: Scalar;
  readonly ofStream: Scalar;
}

/** The score's factors, when each varies either with the row alone or with the streamed axis. */
function separate(node: SoftmaxSumNode): Score | undefined {
  const streamed = node.result.shape.length;
  const isOfStream = (factor: Scalar) => iteratorsOf(factor).has(streamed);
  const factors = factorsOf(node.scoreBody);
  const ofRow = factors.filter((factor) => !isOfStream(factor));
  const ofStream = factors.filter(isOfStream);
  if (ofRow.length === 0 || ofStream.length === 0 || node.scoreExtents.length !== 1) return undefined;
  return { ofRow: productOf(ofRow), ofStream: productOf(ofStream) };
}

export interface SoftmaxProblem {
  readonly kind: 'softmaxSum';
  readonly node: SoftmaxSumNode;
  /** Undefined where the score is computed position by position. */
  readonly separated: Score | undefined;
  /** Of the row axes those that keys and values vary with, and those along which they are shared. */
  readonly batch: AxisClass;
  readonly rows: AxisClass;
  readonly values: AxisClass;
  /** Of the score. */
  readonly depth: number;
  /** The logits as a product, where there are no values but the weights. */
  readonly logits: ContractionProblem | undefined;
  /** What matrix units would multiply; undefined where they cannot. */
  readonly units: UnitSoftmax | undefined;
}

export function softmaxProblem(node: SoftmaxSumNode, context: ScheduleContext): SoftmaxProblem {
  const extents = [...node.result.shape, node.extent, ...node.scoreExtents];
  const ends = endsOf(node);
  const scalars = [node.scoreBody, node.logit, node.value, ...(node.visible ? [node.visible] : [])];
  const depth = node.scoreExtents[0] ?? 1;
  const separated = depth % 4 === 0 ? separate(node) : undefined;
  const ofStreams = separated === undefined ? [node.scoreBody, node.value] : [separated.ofStream, node.value];
  const rowAxes = rowAxesOf(node);
  const { units } = context.device;
  // Rows of one workgroup meet the same keys and values, so axes that those vary with are the grid's.
  const isShared = (axis: number) => !ofStreams.some((scalar) => iteratorsOf(scalar).has(axis));
  return {
    kind: 'softmaxSum',
    node,
    separated,
    batch: axisClass(
      rowAxes.filter((axis) => !isShared(axis)),
      extents,
      scalars,
      context,
      ends,
    ),
    rows: axisClass(rowAxes.filter(isShared), extents, scalars, context, ends),
    values: axisClass(node.valueAxes, extents, [node.value], context, ends),
    depth,
    logits: logitsProblem(node, context),
    units: separated && units && unitSoftmax(node, units),
  };
}

export function rowAxesOf({ result, valueAxes }: SoftmaxSumNode): readonly number[] {
  return result.shape.map((_, axis) => axis).filter((axis) => !valueAxes.includes(axis));
}
