/**
 * Products of 8-bit floats by matrix units, where users allow their sums to be rounded: units that multiply
 * such numbers add with fourteen bits (DeepSeek-AI, "DeepSeek-V3 technical report", 2024, section 3.3.2), so
 * that sums of 128 products are added up elsewhere, in f32. What such a sum is multiplied with, because the
 * numbers are of a block with a scale of its own, comes in there.
 */
import type { Scalar } from '../../graph/graph.ts';
import { integer, iteratorsOf, mapScalar } from '../../graph/scalar.ts';
import { factorsOf, product } from '../../optimize/contraction.ts';
import type { MatrixUnits } from '../device-profile.ts';
import { divisorOf, laneStride, neighbours } from '../lanes.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { type EightBitFloat, isEightBitFloat, type PackedPair } from '../packed.ts';
import { spread } from '../tile-builder.ts';
import { constant, coordinate, sum, type TileExpression } from '../tile-expression.ts';
import { iteratorsAt } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { ContractionProblem } from './contraction.ts';
import { contractionRows } from './contraction-rows.ts';
import { factorBox } from './unit-boxes.ts';

export interface EightBitProduct {
  /** Of 8-bit factors alone; undefined where there is nothing else. */
  readonly problem: ContractionProblem | undefined;
  readonly packed: PackedPair;
  /** What else the factors have, which is the same for `step` neighbours of what is reduced. */
  readonly left: Scalar | undefined;
  readonly right: Scalar | undefined;
  /** Products that units add up. */
  readonly step: number;
  /** For how many neighbouring columns the right one is the same. */
  readonly columnRun: number;
}

/** Products that are added up with few bits at most, the most that fit first. */
const steps = [128, 64, 32];

/**
 * Undefined where a factor is no box of 8-bit floats that lie along what is reduced, times what is common.
 * @param plain the same of two other factors
 */
export function eightBitProduct(
  problem: ContractionProblem,
  { allowed = [], warpgroups }: MatrixUnits,
  context: ScheduleContext,
  plain: (left: Scalar, right: Scalar) => ContractionProblem,
): EightBitProduct | undefined {
  const { contraction, parts, reduced } = problem;
  if (!allowed.includes('f8-sums') || !warpgroups || parts > 1) return undefined;
  const [left, right] = [scaled(contraction.left), scaled(contraction.right)];
  if (left === undefined || right === undefined) return undefined;
  const scales = [left.scale, right.scale].filter((scale) => scale !== undefined);
  const run = Math.min(...scales.map((scale) => runAlong(problem, contraction.reduced, scale)));
  const step = steps.find(
    (each) => (run === Infinity || run % each === 0) && (each === steps.at(-1) || reduced.extent > each / 2),
  );
  if (step === undefined) return undefined;
  const own = scales.length === 0 ? problem : plain(left.factor, right.factor);
  const shape = { isDeepFirst: false, depth: step };
  const { right: weights } = contractionRows(own, 1);
  const isRead =
    factorBox(own, 'columns', weights, right.packed, shape, context) !== undefined &&
    (own.node.grouped === undefined
      ? factorBox(own, 'rows', left.factor, left.packed, shape, context) !== undefined
      : isGatheredInPieces(own, left.factor, step, context));
  if (!isRead) return undefined;
  return {
    problem: own === problem ? undefined : own,
    packed: { left: left.packed, right: right.packed },
    ...{ left: left.scale, right: right.scale, step },
    columnRun: right.scale === undefined ? Infinity : runAlong(problem, contraction.columns, right.scale),
  };
}

/** Whether rows of a factor, whichever they are, can be copied in pieces of sixteen bytes. */
function isGatheredInPieces(
  { node, rows, reduced }: ContractionProblem,
  factor: Scalar,
  depth: number,
  { tensors }: ScheduleContext,
): boolean {
  const pieces = neighbours([spread(1, 'whole'), spread(depth, 'whole')], 16);
  const variable = (name: string, extent: number, multipleOf: number): TileExpression => ({
    ...{ op: 'variable', name, range: { low: 0, high: extent - 1 }, multipleOf },
  });
  const iterators = iteratorsAt(
    node.result.shape.length + node.reduce.extents.length,
    [
      [rows, variable('row', rows.extent, 1)],
      [reduced, sum(variable('step', reduced.extent, depth), coordinate(1, depth))],
    ],
    constant(0),
  );
  const read = lowerScalar(factor, { tensors, iterators });
  if (read.op !== 'load' || laneStride(read.offset, pieces) !== 1) return false;
  return divisorOf(read.offset, pieces) % 16 === 0;
}

interface Scaled {
  readonly factor: Scalar;
  readonly packed: EightBitFloat;
  readonly scale: Scalar | undefined;
}

function scaled(whole: Scalar): Scaled | undefined {
  const factors = factorsOf(whole);
  const [factor, ...more] = factors.filter((each) => each.op === 'load' && isEightBitFloat(each.dtype));
  if (factor?.op !== 'load' || !isEightBitFloat(factor.dtype) || more.length > 0) return undefined;
  const others = factors.filter((each) => each !== factor);
  return { factor, packed: factor.dtype, scale: others.length === 0 ? undefined : product(others) };
}

/** For how many neighbours along axes a scale is the same, from every multiple of that on. */
function runAlong({ node }: ContractionProblem, axes: readonly number[], scale: Scalar): number {
  const extents = [...node.result.shape, ...node.reduce.extents];
  let behind = 1;
  for (const axis of axes.toReversed()) {
    const extent = extents[axis]!;
    const block = blockAlong(scale, axis);
    if (block === 1) return behind;
    if (block !== Infinity) return extent % block === 0 || axes.length === 1 ? behind * block : behind;
    behind *= extent;
  }
  return Infinity;
}

/** For how many positions along an axis it is the same: for all, or those of a quotient, or none. */
function blockAlong(scale: Scalar, axis: number): number {
  if (!iteratorsOf(scale).has(axis)) return Infinity;
  const blocks = new Set<number>();
  const without = mapScalar(scale, (part) => {
    if (part.op !== 'apply' || part.function !== 'floordiv') return part;
    const [dividend, divisor] = part.operands;
    if (dividend?.op !== 'iterator' || dividend.axis !== axis || divisor?.op !== 'constant') return part;
    blocks.add(divisor.value);
    return integer(0);
  });
  const [block, ...others] = blocks;
  const isOfOne = block !== undefined && others.length === 0 && !iteratorsOf(without).has(axis);
  return isOfOne ? block : 1;
}
