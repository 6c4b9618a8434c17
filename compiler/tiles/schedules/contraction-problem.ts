/** What is known of a contraction before it is chosen how it is run. */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { Scalar } from '../../graph/graph.ts';
import { type Contraction, product } from '../../optimize/contraction.ts';
import { endsOf } from '../ends.ts';
import { innermostStrides } from '../merge-axes.ts';
import { axisClass } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { ContractionProblem } from './contraction.ts';
import { eightBitProduct } from './eight-bit-product.ts';
import { type ReductionNode, reductionProblem } from './reduction.ts';
import { packedPair, type WideFactor, wideFactor } from './unit-factors.ts';

export function contractionProblem(
  node: ReductionNode,
  contraction: Contraction,
  context: ScheduleContext,
): ContractionProblem {
  const extents = [...node.result.shape, ...node.reduce.extents];
  const scalars = node.reduce.finish === undefined ? [node.body] : [node.body, node.reduce.finish];
  const ends = endsOf(node);
  const classOf = (axes: readonly number[]) => axisClass(axes, extents, scalars, context, ends);
  const [column, depth] = [contraction.columns.at(-1), contraction.reduced.at(-1)];
  const neighbours = (axis: number | undefined) =>
    axis === undefined ? 0 : innermostStrides(contraction.right, extents, axis, context.tensors);
  const columns = classOf(contraction.columns);
  const rightOrder = neighbours(depth) > neighbours(column) ? 'nk' : 'kn';
  const { right } = contraction;
  const stored = right.op === 'load' ? context.tensors(right.tensor).dtype : undefined;
  const { units } = context.device;
  const packed = packedPair(contraction.left, right, units?.allowed);
  const problem: ContractionProblem = {
    kind: 'contraction',
    node,
    contraction,
    batch: classOf(contraction.batch),
    rows: classOf(contraction.rows),
    columns,
    reduced: classOf(contraction.reduced),
    leftOrder: leftOrderOf(node, contraction, context),
    rightOrder,
    hasVectors: rightOrder === 'kn' && columns.isFlat && stored === 'f32',
    isDear: stored === undefined || dtypeFacts[stored].bits < 16,
    packed,
    eights: undefined,
    wide: units && packed === undefined ? wideIn(node, contraction) : undefined,
    parts: 1,
    reduction: reductionProblem(node, context),
  };
  const plain = (a: Scalar, b: Scalar) =>
    contractionProblem({ ...node, body: product([a, b]) }, { ...contraction, left: a, right: b }, context);
  const eights = units && eightBitProduct(problem, units, context, plain);
  return eights === undefined ? problem : { ...problem, packed: eights.packed, eights };
}

/** Whether neighbours of the left factor in memory lie along what is reduced, or along rows. */
function leftOrderOf(node: ReductionNode, contraction: Contraction, context: ScheduleContext): 'mk' | 'km' {
  if (node.grouped !== undefined) return 'mk';
  const extents = [...node.result.shape, ...node.reduce.extents];
  const neighbours = (axis: number | undefined) =>
    axis === undefined ? 0 : innermostStrides(contraction.left, extents, axis, context.tensors);
  return neighbours(contraction.rows.at(-1)) > neighbours(contraction.reduced.at(-1)) ? 'km' : 'mk';
}

/** Not of axes that end in a run, where parts would be apart, nor of experts' weights, which are many. */
function wideIn(node: ReductionNode, { left, right }: Contraction): WideFactor | undefined {
  if (endsOf(node).some((end) => end !== undefined)) return undefined;
  const wide = wideFactor(left, right);
  return node.grouped === undefined || wide === 'left' ? wide : undefined;
}
