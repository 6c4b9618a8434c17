/** A lower bound on what is still to be received on the way to a placement. */
import type { AxisList, Mesh, Placement } from '../../dsl/placement/placement.ts';
import { devicesAlong } from '../../dsl/placement/placement.ts';
import type { Coordinates } from './blocks.ts';
import { blockNumber } from './blocks.ts';

/**
 * Elements that some device must yet receive: those of its block in `to` that it does not hold, and all of
 * that block where a combination is still to come. Looked at are the devices at the corners of the mesh.
 *
 * It falls with no change by more elements than the change sends, as A* needs: a device receives what is new
 * to it, and whatever combines sends at least one whole block of the result.
 */
export function elementsToFetch(
  to: Placement,
  shape: readonly number[],
  axes: AxisList,
  mesh: Mesh,
): (placement: Placement) => number {
  const wanted = corners(axes, mesh).map((corner) => ({ corner, box: boxOf(to, shape, corner, mesh) }));
  return (placement) => {
    const combines = [...placement.pending].some(
      ([axis, combiner]) => to.pending.get(axis) !== combiner && devicesAlong(mesh, [axis]) > 1,
    );
    let most = 0;
    for (const { corner, box } of wanted) {
      const held = combines ? 0 : overlap(box, boxOf(placement, shape, corner, mesh));
      most = Math.max(most, volume(box) - held);
    }
    return most;
  };
}

/** First and last devices along each of the axes, in all combinations; first ones along all others. */
function corners(axes: AxisList, mesh: Mesh): readonly Coordinates[] {
  let found: Coordinates[] = [mesh.axes.map(() => 0)];
  for (const [place, { name, size }] of mesh.axes.entries())
    if (size > 1 && axes.includes(name))
      found = [...found, ...found.map((corner) => corner.with(place, size - 1))];
  return found;
}

/** For each dimension where the block starts and how many elements it has. */
type Box = readonly (readonly [start: number, size: number])[];

function boxOf({ dims }: Placement, shape: readonly number[], device: Coordinates, mesh: Mesh): Box {
  return dims.map((list, dim) => {
    const size = shape[dim]! / devicesAlong(mesh, list);
    return [blockNumber(list, device, mesh) * size, size];
  });
}

function volume(box: Box): number {
  return box.reduce((count, [, size]) => count * size, 1);
}

function overlap(left: Box, right: Box): number {
  let count = 1;
  for (const [dim, [start, size]] of left.entries()) {
    const [otherStart, otherSize] = right[dim]!;
    count *= Math.max(0, Math.min(start + size, otherStart + otherSize) - Math.max(start, otherStart));
  }
  return count;
}
