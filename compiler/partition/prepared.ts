/**
 * A collective whose axes a value is not cut or pending over, because it turned out to need no device but its
 * own: where nothing is there to be undone the collective does only what is left of it, which moves no data.
 * The checker does not look into values and may have said that they are cut, or pending, further than they
 * are.
 */
import type { PendingCombiner, Placement } from '../../dsl/placement/placement.ts';
import type { PlacementChange } from '../graph/graph.ts';

export interface Prepared {
  /** What the value is brought to first, without moving data. */
  readonly from: Placement;
  /** undefined: nothing is left to do. */
  readonly change: PlacementChange | undefined;
}

export function preparedFor(change: PlacementChange | undefined, from: Placement): Prepared {
  const { dims, pending } = from;
  const cuts = (axis: string): boolean => dims.some((list) => list.includes(axis));
  const isIdle = (axis: string): boolean => !cuts(axis) && !pending.has(axis);
  switch (change?.kind) {
    case 'all_gather':
    case 'all_reduce': {
      const axes = change.axes.filter((axis) => !isIdle(axis));
      return { from, change: axes.length === 0 ? undefined : { ...change, axes } };
    }
    case 'reduce_scatter': {
      const masked = change.axes.filter(isIdle).map((axis): [string, PendingCombiner] => [axis, 'sum']);
      return { from: { dims, pending: new Map([...pending, ...masked]) }, change };
    }
    case 'all_to_all': {
      const list = [...dims[change.from]!, ...change.axes.filter(isIdle)];
      return { from: { dims: dims.with(change.from, list), pending }, change };
    }
    default:
      return { from, change };
  }
}
