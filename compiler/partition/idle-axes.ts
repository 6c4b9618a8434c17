/**
 * Axes along which there is one device, which cut nothing and combine nothing: they are left out, so that a
 * program means the same on a mesh with them and without.
 */
import { devicesAlong, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import type { PlacementChange } from '../graph/graph.ts';

export function placementWithoutIdle({ dims, pending }: Placement, mesh: Mesh): Placement {
  const isActive = isActiveIn(mesh);
  return {
    dims: dims.map((list) => list.filter(isActive)),
    pending: new Map([...pending].filter(([axis]) => isActive(axis))),
  };
}

/** undefined: nothing changes. */
export function changeWithoutIdle(change: PlacementChange, mesh: Mesh): PlacementChange | undefined {
  if (change.kind === 'reshard') return { ...change, to: placementWithoutIdle(change.to, mesh) };
  const axes = change.axes.filter(isActiveIn(mesh));
  return axes.length === 0 ? undefined : { ...change, axes };
}

function isActiveIn(mesh: Mesh): (axis: string) => boolean {
  return (axis) => devicesAlong(mesh, [axis]) > 1;
}
