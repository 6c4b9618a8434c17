/** What each collective makes of the placement of its value, and what it asks of it: one table. */
import { type AxisList, type Placement, showList } from '../../dsl/placement/placement.ts';
import type { PlacementChange } from '../graph/graph.ts';
import { Misplaced } from './fault.ts';
import type { ReshardStep } from './reshard-naive.ts';

type Change = PlacementChange | ReshardStep;

type Rules = {
  readonly [K in Change['kind']]: (from: Placement, change: Extract<Change, { kind: K }>) => Placement;
};

const rules: Rules = {
  all_gather: (from, { axes }) => withoutAxes(from, cutBy(from, axes), axes),
  all_reduce: settled,
  reduce_scatter: (from, { axes, dim, ...change }) =>
    cutFurther(settled(from, { axes, ...change }), dim, axes),
  all_to_all: (from, { axes, from: source, to }) => {
    if (!endsWith(from.dims[source]!, axes))
      refuse(axes, `dimension ${source} is not cut by ${showList(axes)}`);
    return cutFurther(withoutAxes(from, source, axes), to, axes);
  },
  broadcast: (from, { axes }) => {
    const used = axes.find((axis) => from.pending.has(axis) || from.dims.some((list) => list.includes(axis)));
    if (used !== undefined) refuse(axes, `devices along ${used} hold different parts`);
    return from;
  },
  slice: (from, { axes, dim }) => cutFurther(from, dim, axes),
  mask: (from, { axes }) => ({
    ...from,
    pending: new Map([...from.pending, ...axes.map((axis) => [axis, 'sum'] as const)]),
  }),
  reshard: (from, { first, to }) => ({
    dims: from.dims.toSpliced(first, to.dims.length, ...to.dims),
    pending: to.pending,
  }),
};

/** Throws `Misplaced` where the collective does not fit. What it makes is not yet checked against sizes. */
export function placementAfter(from: Placement, change: Change): Placement {
  return (rules[change.kind] as (from: Placement, change: Change) => Placement)(from, change);
}

/** The one dimension whose list ends with the axes. */
export function cutBy(from: Placement, axes: AxisList): number {
  const dim = from.dims.findIndex((list) => endsWith(list, axes));
  if (dim < 0) refuse(axes, `no dimension is cut by ${showList(axes)} last`);
  return dim;
}

export function endsWith(list: AxisList, axes: AxisList): boolean {
  const start = list.length - axes.length;
  return axes.length > 0 && start >= 0 && axes.every((axis, position) => list[start + position] === axis);
}

function withoutAxes(from: Placement, dim: number, axes: AxisList): Placement {
  return { ...from, dims: from.dims.with(dim, from.dims[dim]!.slice(0, -axes.length)) };
}

function cutFurther(from: Placement, dim: number, axes: AxisList): Placement {
  return { ...from, dims: from.dims.with(dim, [...from.dims[dim]!, ...axes]) };
}

function settled(from: Placement, { axes }: { readonly axes: AxisList }): Placement {
  const missing = axes.filter((axis) => !from.pending.has(axis));
  if (missing.length > 0) refuse(missing, `nothing is to be combined over ${missing.join(', ')}`);
  return { ...from, pending: new Map([...from.pending].filter(([axis]) => !axes.includes(axis))) };
}

function refuse(axes: AxisList, message: string): never {
  throw new Misplaced('collectives fit', axes, message);
}
