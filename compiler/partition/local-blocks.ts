/** Blocks: how much of a dimension a device holds, and where its block starts, as an expression. */
import {
  type AxisList,
  axesOf,
  devicesAlong,
  type Mesh,
  type Placement,
  showList,
} from '../../dsl/placement/placement.ts';
import type { Scalar, Tensor } from '../graph/graph.ts';
import { apply, coordinate, integer } from '../graph/scalar.ts';
import { Misplaced } from './fault.ts';

/** Elements of a dimension on one device. */
export function blockOf(extent: number, list: AxisList, mesh: Mesh): number {
  return extent / devicesAlong(mesh, list);
}

export function localShape(
  shape: readonly number[],
  { dims }: Pick<Placement, 'dims'>,
  mesh: Mesh,
): readonly number[] {
  return shape.map((extent, dim) => blockOf(extent, dims[dim]!, mesh));
}

/** The tensor as one device holds it. */
export function localTensor(tensor: Tensor, placement: Pick<Placement, 'dims'>, mesh: Mesh): Tensor {
  return { ...tensor, shape: localShape(tensor.shape, placement, mesh) };
}

/** The number of a device's block: its coordinates read as digits, the first axis most significant. */
export function blockNumber(list: AxisList, mesh: Mesh): Scalar {
  return list.reduce<Scalar>((number, axis) => {
    const devices = devicesAlong(mesh, [axis]);
    return apply('add', apply('mul', number, integer(devices)), coordinate(axis, devices));
  }, integer(0));
}

/** Where in the dimension the device's block starts. */
export function blockStart(extent: number, list: AxisList, mesh: Mesh): Scalar {
  return apply('mul', blockNumber(list, mesh), integer(blockOf(extent, list, mesh)));
}

/** Whether the device is the first along each of the axes. */
export function isFirst(axes: readonly string[], mesh: Mesh): Scalar {
  return axes
    .map((axis) => apply('eq', coordinate(axis, devicesAlong(mesh, [axis])), integer(0)))
    .reduce((left, right) => apply('and', left, right));
}

/** Throws `Misplaced` when a tensor of that shape cannot live so. */
export function checkPlacement(shape: readonly number[], placement: Placement, mesh: Mesh): void {
  const rule = 'placements are well-formed';
  if (placement.dims.length !== shape.length)
    throw new Misplaced(rule, [], `${shape.length} dimensions are placed as ${placement.dims.length}`);
  const axes = axesOf(placement);
  const twice = axes.find((axis, position) => axes.indexOf(axis) !== position);
  if (twice !== undefined) throw new Misplaced(rule, [twice], `${twice} is used twice`);
  for (const [dim, extent] of shape.entries()) {
    const list = placement.dims[dim]!;
    const devices = devicesAlong(mesh, list);
    if (extent % devices !== 0) {
      const message = `dimension ${dim} of ${extent} is not cut into ${devices} equal blocks by ${showList(list)}`;
      throw new Misplaced(rule, list, message);
    }
  }
  if (new Set(placement.pending.values()).size > 1)
    throw new Misplaced(rule, [...placement.pending.keys()], 'it is still to be combined in two ways');
}
