/** Which block of a tensor a device holds: its coordinates read as digits, major axis first. */
import type { AxisList, Mesh, Placement } from '../../dsl/placement/placement.ts';
import { deviceCount, devicesAlong } from '../../dsl/placement/placement.ts';

/** Where a device stands along each axis of the mesh, in the order of the mesh. */
export type Coordinates = readonly number[];

/** Of all devices, in the order of their numbers. */
export function allCoordinates(mesh: Mesh): readonly Coordinates[] {
  return Array.from({ length: deviceCount(mesh) }, (_, device) => {
    const coordinates: number[] = [];
    let rest = device;
    for (const { size } of mesh.axes.toReversed()) {
      coordinates.unshift(rest % size);
      rest = Math.floor(rest / size);
    }
    return coordinates;
  });
}

/** The number of a device's block of a dimension that the list cuts; 0 where it is whole. */
export function blockNumber(list: AxisList, coordinates: Coordinates, mesh: Mesh): number {
  let block = 0;
  for (const name of list) {
    const place = mesh.axes.findIndex((axis) => axis.name === name);
    if (place >= 0) block = block * mesh.axes[place]!.size + coordinates[place]!;
  }
  return block;
}

/**
 * The axes along which some device holds a block that it should not: those that are a digit of another
 * weight, or of another dimension, in `to` than in `from`. Along the others each block can stay where it is.
 * In the order of the mesh.
 */
export function movedAxes(from: Placement, to: Placement, mesh: Mesh): AxisList {
  const names = mesh.axes.filter(({ size }) => size > 1).map(({ name }) => name);
  return names.filter((name) => {
    const dim = dimensionOf(from, name);
    if (dim !== dimensionOf(to, name)) return true;
    return dim >= 0 && weightIn(from.dims[dim]!, name, mesh) !== weightIn(to.dims[dim]!, name, mesh);
  });
}

/** The dimension that an axis cuts; −1 if none. */
function dimensionOf({ dims }: Placement, axis: string): number {
  return dims.findIndex((list) => list.includes(axis));
}

/** How many blocks the digit of an axis is worth. */
function weightIn(list: AxisList, axis: string, mesh: Mesh): number {
  return devicesAlong(mesh, list.slice(list.indexOf(axis) + 1));
}

/**
 * For each device the one whose block it gets in a permutation: itself where it has the block already, and
 * else the first one free that differs from it along moved axes only. Each device sends its block once.
 *
 * Of two placements with blocks of one size: as many devices hold a block before as after.
 */
export function permutationSources(from: Placement, to: Placement, mesh: Mesh): readonly number[] {
  const devices = allCoordinates(mesh);
  const moved = new Set(movedAxes(from, to, mesh));
  const fixed = mesh.axes.map(({ name }) => !moved.has(name));
  // Devices that agree in this hold the same before the step, and stand at the same place along fixed axes.
  const keyOf = (coordinates: Coordinates, { dims }: Placement): string => {
    const blocks = dims.map((list) => blockNumber(list, coordinates, mesh));
    return [...blocks, ...coordinates.filter((_, place) => fixed[place])].join();
  };
  const before = devices.map((coordinates) => keyOf(coordinates, from));
  const after = devices.map((coordinates) => keyOf(coordinates, to));
  const free = new Map<string, number[]>();
  for (const [device, key] of before.entries())
    if (key !== after[device]) free.set(key, [...(free.get(key) ?? []), device]);
  return after.map((key, device) => (key === before[device] ? device : free.get(key)!.shift()!));
}
