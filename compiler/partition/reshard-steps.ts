/** A planned resharding in steps that devices can exchange. */
import { type AxisList, isPrefix, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { TensorType } from '../graph/graph.ts';
import { applyChange, isFault, type PlacementChange } from './change.ts';
import { planReshard } from './reshard.ts';

/** A permutation has no exchange of its own yet. */
export type ReshardStep = Exclude<PlacementChange, { readonly kind: 'permute' }>;

/** `applyChange`, one after another, leads from `from` to `to`; a mask at the end is of the combiner of `to`. */
export function reshardSteps(
  from: Placement,
  to: Placement,
  { dtype, shape }: TensorType,
  mesh: Mesh,
): readonly ReshardStep[] {
  const plan = planReshard({ from, to, shape, elementBytes: dtypeFacts[dtype].bits / 8, mesh });
  // What is pending in another way than before has no plan: it is combined first.
  if ('fault' in plan) return gatheredAndCut(from, to);
  let current = from;
  return plan.steps.flatMap((step): readonly ReshardStep[] => {
    const before = current;
    current = placementAfterStep(before, step, mesh);
    return step.kind === 'permute' ? gatheredAndCut(before, current) : [step];
  });
}

/** Throws (an internal error) where the step does not apply. */
export function placementAfterStep(from: Placement, step: PlacementChange, mesh: Mesh): Placement {
  const after = applyChange(from, step, mesh);
  if (isFault(after)) throw new Error(`a planned ${step.kind} does not apply: ${after.message}`);
  return after;
}

/** All is combined and gathered that is not to stay, and then cut anew. */
function gatheredAndCut(from: Placement, to: Placement): readonly ReshardStep[] {
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
