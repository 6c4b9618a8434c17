/** What a collective makes of the placement of its value. */
import type { Mesh, Placement } from '../../dsl/placement/placement.ts';
import type { PlacementChange } from '../graph/graph.ts';
import { applyChange, isFault } from './change.ts';
import { Misplaced } from './fault.ts';

/** Throws `Misplaced` where the collective does not fit. Whether sizes divide is not looked at. */
export function placementAfter(from: Placement, change: PlacementChange, mesh: Mesh): Placement {
  if (change.kind === 'reshard') {
    const { first, to } = change;
    return { dims: from.dims.toSpliced(first, to.dims.length, ...to.dims), pending: to.pending };
  }
  const after = applyChange(from, change, mesh);
  if (isFault(after)) throw new Misplaced('collectives fit', change.axes, after.message);
  return after;
}
