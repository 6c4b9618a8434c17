/**
 * The steps from one placement to another, without regard to what they cost: all is combined and gathered
 * that is not to stay, and then cut anew.
 */
import { type AxisList, isPrefix, type Placement } from '../../dsl/placement/placement.ts';
import type { PlacementChange } from '../graph/graph.ts';

export type ReshardStep =
  | Exclude<PlacementChange, { readonly kind: 'reshard' }>
  /** The axes, over which all devices hold the same, cut `dim` further. */
  | { readonly kind: 'slice'; readonly axes: AxisList; readonly dim: number }
  /** Along the axes, over which all devices hold the same, all but the first put zero. */
  | { readonly kind: 'mask'; readonly axes: AxisList };

export function planReshard(from: Placement, to: Placement): readonly ReshardStep[] {
  const combined = [...from.pending.keys()].filter((axis) => from.pending.get(axis) !== to.pending.get(axis));
  const masked = [...to.pending.keys()].filter((axis) => from.pending.get(axis) !== to.pending.get(axis));
  const kept = from.dims.map((list, dim) => commonPrefix(list, to.dims[dim]!));
  const gathers = from.dims.map((list, dim): ReshardStep => {
    return { kind: 'all_gather', axes: list.slice(kept[dim]!.length) };
  });
  const slices = to.dims.map((list, dim): ReshardStep => {
    return { kind: 'slice', axes: list.slice(kept[dim]!.length), dim };
  });
  const steps: readonly ReshardStep[] = [
    { kind: 'all_reduce', axes: combined },
    ...gathers,
    ...slices,
    { kind: 'mask', axes: masked },
  ];
  return steps.filter((step) => step.axes.length > 0);
}

function commonPrefix(left: AxisList, right: AxisList): AxisList {
  let length = left.length;
  while (!isPrefix(left.slice(0, length), right)) length--;
  return left.slice(0, length);
}
