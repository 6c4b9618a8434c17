/** Blocks: how much of a dimension a device holds, and where its block starts, as an expression. */
import {
  type AxisList,
  axesOf,
  devicesAlong,
  type Mesh,
  type Placement,
} from '../../dsl/placement/placement.ts';
import type { Scalar, Tensor } from '../graph/graph.ts';
import { apply, coordinate, integer } from '../graph/scalar.ts';
import { divisionFault, localShape } from './change.ts';
import { Misplaced } from './fault.ts';

/** Elements of a dimension on one device. */
export function blockOf(extent: number, list: AxisList, mesh: Mesh): number {
  return extent / devicesAlong(mesh, list);
}

/** The tensor as one device holds it. */
export function localTensor(tensor: Tensor, placement: Placement, mesh: Mesh): Tensor {
  return { ...tensor, shape: localShape(tensor.shape, placement, mesh) };
}

/** The number of the device's own block: its coordinates read as digits, the first axis most significant. */
export function ownBlock(list: AxisList, mesh: Mesh): Scalar {
  return list.reduce<Scalar>((number, axis) => {
    const devices = devicesAlong(mesh, [axis]);
    return apply('add', apply('mul', number, integer(devices)), coordinate(axis, devices));
  }, integer(0));
}

/** Where in the dimension the device's block starts. */
export function blockStart(extent: number, list: AxisList, mesh: Mesh): Scalar {
  return apply('mul', ownBlock(list, mesh), integer(blockOf(extent, list, mesh)));
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
  const axes = axesOf(placement);
  const twice = axes.find((axis, position) => axes.indexOf(axis) !== position);
  if (twice !== undefined) throw new Misplaced(rule, [twice], `${twice} is used twice`);
  const uneven = divisionFault(shape, placement, mesh);
  if (uneven !== undefined) throw new Misplaced(rule, axes, uneven.message);
  if (new Set(placement.pending.values()).size > 1)
    throw new Misplaced(rule, [...placement.pending.keys()], 'it is still to be combined in two ways');
}
