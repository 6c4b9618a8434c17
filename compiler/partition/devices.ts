/** Groups of devices, and where the blocks that they hold lie. */
import { type AxisList, devicesAlong, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import { stridesOf } from '../graph/tensor-type.ts';
import { allCoordinates, blockNumber, type Coordinates } from './blocks.ts';

/** Devices that differ along the axes only; each group by rank, the coordinates along the axes as digits. */
export function groupsAlong(axes: AxisList, mesh: Mesh): readonly (readonly number[])[] {
  const groups = new Map<string, number[]>();
  for (const [device, coordinates] of allCoordinates(mesh).entries()) {
    const key = coordinates.filter((_, position) => !axes.includes(mesh.axes[position]!.name)).join();
    const group = groups.get(key) ?? [];
    group[blockNumber(axes, coordinates, mesh)] = device;
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
      const start = block * blockNumber(dims[dim]!, coordinates, mesh);
      return positions.flatMap((position) =>
        Array.from({ length: block }, (_, at) => position + (start + at) * strides[dim]!),
      );
    },
    [0],
  );
}
