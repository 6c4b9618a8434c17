/** Axes that may be one, by all that a kernel reads. */
import type { Ends, Scalar } from '../../graph/graph.ts';
import { flatEnd } from '../ends.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { type AxisGroup, mergeAxes, placeholder } from '../merge-axes.ts';
import { constant } from '../tile-expression.ts';
import type { ScheduleContext } from './context.ts';

export function mergedGroups(
  scalars: readonly Scalar[],
  extents: readonly number[],
  from: number,
  to: number,
  context: ScheduleContext,
  ends: Ends = [],
): readonly AxisGroup[] {
  const iterators = extents.map((extent, axis) => placeholder(axis, extent));
  const reduced = constant(0, 'f32');
  const lowered = scalars.map((scalar) =>
    lowerScalar(scalar, { tensors: context.tensors, iterators, reduced }),
  );
  return mergeAxes(lowered, extents, from, to).map((group) => {
    const axes = Array.from({ length: group.last - group.first + 1 }, (_, at) => group.first + at);
    return { ...group, end: flatEnd(axes, extents, ends) };
  });
}
