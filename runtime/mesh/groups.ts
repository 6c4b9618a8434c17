/** Devices of a mesh by coordinates. */
import { deviceCount, devicesAlong, type Mesh } from '../../dsl/placement/placement.ts';

/** Where a device is along each axis, in the order of the mesh's axes. */
export function coordinatesOf({ axes }: Mesh, device: number): readonly number[] {
  let rest = device;
  const reversed = [...axes].reverse().map(({ size }) => {
    const at = rest % size;
    rest = (rest - at) / size;
    return at;
  });
  return reversed.reverse();
}

/** 0 along an axis that the mesh does not have. */
export function coordinateAlong(mesh: Mesh, device: number, axis: string): number {
  return coordinatesOf(mesh, device)[mesh.axes.findIndex(({ name }) => name === axis)] ?? 0;
}

/** The number that a device's coordinates along `axes` write, the first being the most significant digit. */
export function rankAlong(mesh: Mesh, device: number, axes: readonly string[]): number {
  return axes.reduce(
    (rank, axis) => rank * devicesAlong(mesh, [axis]) + coordinateAlong(mesh, device, axis),
    0,
  );
}

export function allDevices(mesh: Mesh): readonly number[] {
  return Array.from({ length: deviceCount(mesh) }, (_, device) => device);
}

/** The devices that differ along `axes` only, each group in order of rank. */
export function groupsOf(mesh: Mesh, axes: readonly string[]): readonly (readonly number[])[] {
  const others = mesh.axes.map(({ name }) => name).filter((name) => !axes.includes(name));
  const groups = Array.from({ length: devicesAlong(mesh, others) }, (): number[] => []);
  for (const device of allDevices(mesh))
    groups[rankAlong(mesh, device, others)]![rankAlong(mesh, device, axes)] = device;
  return groups;
}
