/** A set of a node's axes run through by one flat index: rows, columns, a batch, what is reduced. */
import type { Extent } from '../../graph/extent.ts';
import type { Ends, Scalar } from '../../graph/graph.ts';
import { flatEnd } from '../ends.ts';
import { groupIterators } from '../merge-axes.ts';
import { type TileExpression, unflatten } from '../tile-expression.ts';
import type { ScheduleContext } from './context.ts';
import { mergedGroups } from './merged-groups.ts';

export interface AxisClass {
  readonly axes: readonly number[];
  /** Product of the axes' extents: 1 for none. */
  readonly extent: number;
  /** Where the flat index ends in a run, if before that. */
  readonly end: Extent | undefined;
  /** Whether the flat index is one axis, or axes that every access runs through as one. */
  readonly isFlat: boolean;
  /** The iterators of `axes`, in their order, at a flat index. */
  readonly iterators: (flat: TileExpression) => readonly TileExpression[];
  /** What the flat index is made of: the extents of axes, or of several that are run through as one. */
  readonly parts: readonly number[];
  /** The iterators of `axes` at a place along each of the parts. */
  readonly ofParts: (places: readonly TileExpression[]) => readonly TileExpression[];
}

/**
 * `extents` has all axes of the node, `scalars` all that is evaluated along them. Of axes of which the first
 * that ends in a run is not the first, that one goes first, so that the flat index ends.
 */
export function axisClass(
  given: readonly number[],
  extents: readonly number[],
  scalars: readonly Scalar[],
  context: ScheduleContext,
  ends: Ends = [],
): AxisClass {
  const ending = given.findIndex((axis) => ends[axis] !== undefined);
  const isSlowest = given.slice(0, Math.max(0, ending)).every((axis) => extents[axis] === 1);
  const axes = isSlowest ? given : [given[ending]!, ...given.filter((_, place) => place !== ending)];
  const end = flatEnd(axes, extents, ends);
  const own = axes.map((axis) => extents[axis]!);
  const extent = own.reduce((product, each) => product * each, 1);
  const [first] = axes;
  const isRun = first !== undefined && axes.every((axis, place) => axis === first + place);
  const madeOf = (parts: readonly number[], ofParts: AxisClass['ofParts']) => ({
    ...{ axes, extent, end, parts, ofParts },
    iterators: (flat: TileExpression) => ofParts(unflatten(flat, parts)),
  });
  if (!isRun) return { ...madeOf(own, (places) => places), isFlat: axes.length === 0 };
  const groups = mergedGroups(scalars, extents, first, first + axes.length, context);
  const sizes = groups.map((group) => group.extent);
  return {
    ...madeOf(sizes, (places) => groupIterators(groups, places)),
    isFlat: groups.length === 1,
  };
}

/** The iterators of a node by axis, each class at its flat index. */
export function iteratorsAt(
  rank: number,
  classes: readonly (readonly [AxisClass, TileExpression])[],
  missing: TileExpression,
): readonly TileExpression[] {
  const found: TileExpression[] = Array.from({ length: rank }, () => missing);
  for (const [{ axes, iterators }, flat] of classes) {
    const values = iterators(flat);
    for (const [place, axis] of axes.entries()) found[axis] = values[place]!;
  }
  return found;
}
