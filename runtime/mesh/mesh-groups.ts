/** Which ranks of a mesh form a group along axes. Devices are numbered row-major; rank r is device r. */
import {
  type AxisList,
  deviceCount,
  devicesAlong,
  type Mesh,
  showList,
} from '../../dsl/placement/placement.ts';
import { UserError } from '../errors.ts';
import type { Communicator } from './communicator.ts';

/** A rank's coordinate along each axis of the mesh, in the order of the axes. */
export function coordinatesOf(mesh: Mesh, rank: number): readonly number[] {
  const coordinates: number[] = [];
  let rest = rank;
  for (const { size } of mesh.axes.toReversed()) {
    coordinates.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return coordinates;
}

/** The coordinates read as digits, the first axis most significant: the number of a device, or of a block. */
function numberAlong(mesh: Mesh, coordinates: readonly number[], axes: AxisList): number {
  return axes.reduce((number, name) => {
    const place = mesh.axes.findIndex((axis) => axis.name === name);
    // An axis that the mesh does not have is of size 1.
    return place < 0 ? number : number * mesh.axes[place]!.size + coordinates[place]!;
  }, 0);
}

/** Where a rank is in its group along `axes`, major first: the color and key of a split. */
export interface GroupPlace {
  /** The group: its number among all groups along these axes. */
  readonly group: number;
  /** The rank in the group, which is the number of the block that it holds of what is cut over `axes`. */
  readonly member: number;
}

export function groupPlace(mesh: Mesh, axes: AxisList, rank: number): GroupPlace {
  const coordinates = coordinatesOf(mesh, rank);
  const others = mesh.axes.map(({ name }) => name).filter((name) => !axes.includes(name));
  return { group: numberAlong(mesh, coordinates, others), member: numberAlong(mesh, coordinates, axes) };
}

/** All groups along `axes`: the ranks of each in the order of the blocks that they hold. */
export function groupsOf(mesh: Mesh, axes: AxisList): readonly (readonly number[])[] {
  const along = devicesAlong(mesh, axes);
  const groups = Array.from({ length: deviceCount(mesh) / along }, () => new Array<number>(along).fill(0));
  for (let rank = 0; rank < deviceCount(mesh); rank++) {
    const { group, member } = groupPlace(mesh, axes, rank);
    groups[group]![member] = rank;
  }
  return groups;
}

/** The group of this rank along `axes`. Every rank of the world asks for the same axes. */
export function splitAlong(world: Communicator, mesh: Mesh, axes: AxisList): Promise<Communicator> {
  const { group, member } = groupPlace(mesh, axes, world.rank);
  return world.split(group, member, showList(axes).replace(/^@/, ''));
}

/** @throws UserError `no-device` unless there is one rank for each device of the mesh. */
export function checkMeshFits(world: Communicator, mesh: Mesh): void {
  const devices = deviceCount(mesh);
  if (devices === world.size) return;
  const axes = mesh.axes.map(({ name, size }) => `${name}=${size}`).join(', ');
  throw new UserError(
    'no-device',
    `the mesh (${axes}) has ${devices} ${devices === 1 ? 'device' : 'devices'}, but there ${
      world.size === 1 ? 'is 1 rank' : `are ${world.size} ranks`
    }`,
    `start ${devices} ranks, as mpiexec -n ${devices} does, or choose a mesh of ${world.size}`,
  );
}
