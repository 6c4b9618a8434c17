/** What a trace calls a device. */
import { allCoordinates } from '../../compiler/partition/blocks.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';

/** `device 3 (dp=1, tp=1)`. */
export function deviceName(mesh: Mesh, device: number): string {
  const coordinates = allCoordinates(mesh)[device]!;
  const places = mesh.axes.map(({ name }, axis) => `${name}=${coordinates[axis]}`);
  return `device ${device}${places.length === 0 ? '' : ` (${places.join(', ')})`}`;
}
