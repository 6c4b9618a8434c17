/** The devices of a mesh by their coordinates, and the blocks that they hold. */
import {
  type AxisList,
  deviceCount,
  devicesAlong,
  type Mesh,
  type Placement,
} from '../../dsl/placement/placement.ts';
import { stridesOf } from '../graph/tensor-type.ts';

/** By axis name; an axis that the mesh does not have has coordinate 0. */
export type Coordinates = ReadonlyMap<string, number>;

/** Of every device, in order of its number. */
export function allCoordinates(mesh: Mesh): readonly Coordinates[] {
  const strides = stridesOf(mesh.axes.map(({ size }) => size));
  return Array.from(
    { length: deviceCount(mesh) },
    (_, device) =>
      new Map(
        mesh.axes.map(({ name, size }, position) => [name, Math.floor(device / strides[position]!) % size]),
      ),
  );
}

/** The coordinates along the axes read as digits, the first axis most significant. */
export function rankAlong(axes: AxisList, coordinates: Coordinates, mesh: Mesh): number {
  return axes.reduce((rank, axis) => rank * devicesAlong(mesh, [axis]) + (coordinates.get(axis) ?? 0), 0);
}

/** Devices that differ along the axes only, each group by rank. */
export function groupsAlong(axes: AxisList, mesh: Mesh): readonly (readonly number[])[] {
  const groups = new Map<string, number[]>();
  for (const [device, coordinates] of allCoordinates(mesh).entries()) {
    const key = [...coordinates].filter(([axis]) => !axes.includes(axis)).join(';');
    const group = groups.get(key) ?? [];
    group[rankAlong(axes, coordinates, mesh)] = device;
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** For each element of a device's block, row-major, its flat position in the whole tensor. */
export function blockPositions(
  shape: readonly number[],
  { dims }: Placement,
  coordinates: Coordinates,
  mesh: Mesh,
): readonly number[] {
  const strides = stridesOf(shape);
  return shape.reduce<readonly number[]>(
    (positions, extent, dim) => {
      const block = extent / devicesAlong(mesh, dims[dim]!);
      const start = block * rankAlong(dims[dim]!, coordinates, mesh);
      return positions.flatMap((position) =>
        Array.from({ length: block }, (_, at) => position + (start + at) * strides[dim]!),
      );
    },
    [0],
  );
}
