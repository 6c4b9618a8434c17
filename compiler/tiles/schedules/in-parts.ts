/**
 * Products of f32 numbers with numbers of 16 bits by matrix units. An f32 number is the sum of three of
 * bf16, each of which has eight of its 24 bits, so its product with another is the sum of three products, and
 * nothing is rounded on the way but what is below 2^-133 (Henry, Tang and Heinecke, "Leveraging the bfloat16
 * artificial intelligence datatype for higher-precision computations", 2019). One kernel writes the three
 * beside each other along what is reduced, which is then three times as long.
 */
import type { ComputeNode, Scalar } from '../../graph/graph.ts';
import {
  apply,
  float,
  integer,
  iterator,
  iteratorsOf,
  load,
  round,
  substituteIterators,
} from '../../graph/scalar.ts';
import { product } from '../../optimize/contraction.ts';
import type { ScheduledStep } from '../scheduled.ts';
import type { ScheduleContext } from './context.ts';
import type { ContractionProblem } from './contraction.ts';
import { contractionProblem } from './contraction-problem.ts';
import type { Multiplied } from './unit-contraction.ts';
import type { WideFactor } from './unit-factors.ts';

const parts = 3;

/** The largest finite number of bf16. */
const largest = (2 - 2 ** -7) * 2 ** 127;

/** What units multiply of a product, and what has to be done before. */
export interface Before extends Multiplied {
  readonly before: readonly ScheduledStep[];
}

export function multipliedByUnits(problem: ContractionProblem, context: ScheduleContext): Before {
  const { wide, packed, eights } = problem;
  if (packed !== undefined)
    return {
      before: [],
      problem: eights?.problem ?? problem,
      packed,
      ...(eights && { promoted: { problem, eights } }),
    };
  if (wide === undefined) throw new Error(`${problem.node.result.name} is no product of matrix units`);
  return partedBy(problem, wide, context);
}

function partedBy(problem: ContractionProblem, wide: WideFactor, context: ScheduleContext): Before {
  const { node, contraction } = problem;
  const rank = node.result.shape.length;
  const extents = [...node.result.shape, ...node.reduce.extents];
  const axes = [...iteratorsOf(contraction[wide])].sort((left, right) => left - right);
  const [own, along] = [axes.filter((axis) => axis < rank), axes.filter((axis) => axis >= rank)];
  const extentOf = (axis: number) => extents[axis]!;
  const tensor = context.temporary(`${node.result.name}_in_parts`, {
    dtype: 'bf16',
    shape: [...own.map(extentOf), parts, ...along.map(extentOf)],
  });
  const places = new Map([
    ...own.map((axis, at) => [axis, at] as const),
    ...along.map((axis, at) => [axis, own.length + 1 + at] as const),
  ]);
  const value = substituteIterators(contraction[wide], (axis) => iterator(places.get(axis)!));
  const split: ComputeNode = {
    ...{ kind: 'compute', result: tensor, reduce: undefined, grouped: undefined },
    body: partOf(value, iterator(own.length)),
  };
  // The part is the first of the reduced axes.
  const moved = (axis: number) => (axis < rank ? axis : axis + 1);
  const factor = (side: WideFactor): Scalar =>
    side === wide
      ? load(tensor, [...own.map(iterator), iterator(rank), ...along.map((axis) => iterator(moved(axis)))])
      : substituteIterators(contraction[side], (axis) => iterator(moved(axis)));
  const [left, right] = [factor('left'), factor('right')];
  const multiplied = contractionProblem(
    {
      ...node,
      body: product([left, right]),
      reduce: { ...node.reduce, extents: [parts, ...node.reduce.extents] },
    },
    { ...contraction, left, right, reduced: [rank, ...contraction.reduced.map(moved)] },
    context,
  );
  const packed = { left: 'bf16', right: 'bf16' } as const;
  return { before: context.node(split), problem: { ...multiplied, parts }, packed };
}

/**
 * The smallest part comes first, so that what is large is added once. It has what is left of values that no
 * bf16 comes near, such as ∞.
 */
function partOf(value: Scalar, place: Scalar): Scalar {
  const near = (wide: Scalar) =>
    round('bf16', apply('max', apply('min', wide, float(largest)), float(-largest)));
  const high = near(value);
  const rest = apply('sub', value, high);
  const middle = near(rest);
  const low = apply('sub', rest, middle);
  const isAt = (part: number) => apply('eq', place, integer(part));
  return apply('select', isAt(0), low, apply('select', isAt(1), middle, high));
}
