/** Lower bounds on what is still to be received on the way to a placement. */
import type { AxisList, Mesh, Placement } from '../../dsl/placement/placement.ts';
import { deviceCount, devicesAlong } from '../../dsl/placement/placement.ts';
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
    const combines = [...placement.pending.keys()].some((axis) => isToCombine(placement, to, axis, mesh));
    let most = 0;
    for (const { corner, box } of wanted) {
      const held = combines ? 0 : overlap(box, boxOf(placement, shape, corner, mesh));
      most = Math.max(most, volume(box) - held);
    }
    return most;
  };
}

/**
 * Elements that a device, on average, must yet receive in messages along an axis: what the devices of one
 * coordinate along it want together, and none of them holds. Never too much, as a step along the axis brings
 * each of them no more than it sends.
 */
export function elementsToCross(
  to: Placement,
  shape: readonly number[],
  axis: string,
  mesh: Mesh,
): (placement: Placement) => number {
  const parts = devicesAlong(mesh, [axis]);
  const devices = deviceCount(mesh) / parts;
  const whole = shape.reduce((count, size) => count * size, 1);
  const goal = digitOf(to, shape, axis, mesh);
  const wanted = goal === undefined ? whole : whole / parts;
  return (placement) => {
    if (isToCombine(placement, to, axis, mesh)) return wanted / devices;
    const held = digitOf(placement, shape, axis, mesh);
    if (held === undefined) return 0;
    return (wanted - commonPart(held, goal, parts) * whole) / devices;
  };
}

/** The part of a dimension that an axis gives to one coordinate: `floor(index / stride) % devices` is it. */
interface Digit {
  readonly dim: number;
  readonly stride: number;
}

function digitOf({ dims }: Placement, shape: readonly number[], axis: string, mesh: Mesh): Digit | undefined {
  const dim = dims.findIndex((list) => list.includes(axis));
  if (dim < 0) return undefined;
  const list = dims[dim]!;
  return { dim, stride: shape[dim]! / devicesAlong(mesh, list.slice(0, list.indexOf(axis) + 1)) };
}

/** The part of all elements that is in both; at most that, where digits of one dimension overlap. */
function commonPart(held: Digit, goal: Digit | undefined, parts: number): number {
  if (goal === undefined) return 1 / parts;
  const [low, high] = [Math.min(held.stride, goal.stride), Math.max(held.stride, goal.stride)];
  const isIndependent = held.dim !== goal.dim || (low > 0 && high % (low * parts) === 0);
  return isIndependent ? 1 / parts ** 2 : 1 / parts;
}

/** Whether the axis is pending and must not stay so. */
function isToCombine(placement: Placement, to: Placement, axis: string, mesh: Mesh): boolean {
  const combiner = placement.pending.get(axis);
  return combiner !== undefined && to.pending.get(axis) !== combiner && devicesAlong(mesh, [axis]) > 1;
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
