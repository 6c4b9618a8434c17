/**
 * How long a planned resharding takes. What the two placements have in common does not matter but for how
 * much less each device holds, so that one plan serves many tensors and many pairs of placements.
 */
import {
  type AxisList,
  axesOf,
  devicesAlong,
  type Mesh,
  type PendingCombiner,
  type Placement,
} from '../../../dsl/placement/placement.ts';
import { placementKey } from '../placement-graph.ts';
import { reshardPlanner } from '../reshard.ts';
import { type CostModel, linksAlong } from './cost-model.ts';

/** @param bytes of the whole tensor. Infinite where there is no way. */
export type MovementSeconds = (bytes: number, from: Placement, to: Placement) => number;

export function movementSeconds(mesh: Mesh, costs: CostModel): MovementSeconds {
  const axes = mesh.axes.map(({ name }) => name);
  const plan = reshardPlanner(mesh, linksAlong(axes, costs));
  const known = new Map<string, number>();
  return (bytes, from, to) => {
    const difference = withoutCommon(from, to);
    const own = bytes / devicesAlong(mesh, difference.common);
    const key = `${own};${placementKey(difference.from)};${placementKey(difference.to)}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    // Of a size that all the axes divide, in whatever order they come to stand on a dimension.
    const crossed = new Set([...axesOf(difference.from), ...axesOf(difference.to)]);
    const shape = difference.from.dims.map(() => devicesAlong(mesh, crossed));
    const elements = shape.reduce((product, extent) => product * extent, 1);
    const found = plan({ ...difference, shape, elementBytes: own / elements });
    const seconds = 'fault' in found ? Infinity : found.seconds;
    known.set(key, seconds);
    return seconds;
  };
}

interface Difference {
  readonly from: Placement;
  readonly to: Placement;
  /** The axes that cut the same in both. */
  readonly common: AxisList;
}

/**
 * Without the axes that begin a dimension's list in both, or are pending in both, and without the dimensions
 * that are whole then.
 */
function withoutCommon(from: Placement, to: Placement): Difference {
  const common: string[] = [];
  const pairs = from.dims.map((list, dim) => {
    const other = to.dims[dim]!;
    let length = 0;
    while (length < list.length && list[length] === other[length]) length++;
    common.push(...list.slice(0, length));
    return [list.slice(length), other.slice(length)] as const;
  });
  const changed = pairs.filter(([left, right]) => left.length > 0 || right.length > 0);
  const isKept = ([axis, combiner]: readonly [string, PendingCombiner]): boolean =>
    from.pending.get(axis) === combiner && to.pending.get(axis) === combiner;
  const pendingOf = ({ pending }: Placement): Placement['pending'] =>
    new Map([...pending].filter((each) => !isKept(each)));
  return {
    from: { dims: changed.map(([left]) => left), pending: pendingOf(from) },
    to: { dims: changed.map(([, right]) => right), pending: pendingOf(to) },
    common,
  };
}
