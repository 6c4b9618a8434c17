/** The steps in which devices carry out a collective of a placed program. */
import type { Mesh, Placement } from '../../dsl/placement/placement.ts';
import type { PlacementChange, TensorType } from '../graph/graph.ts';
import { changeWithoutIdle } from './idle-axes.ts';
import { preparedFor } from './prepared.ts';
import { type ReshardStep, reshardSteps } from './reshard-steps.ts';

export interface CollectiveSteps {
  /** What the value is brought to first, without moving data. */
  readonly from: Placement;
  /** None where nothing is to be done. */
  readonly steps: readonly ReshardStep[];
}

/** @param found where the value is, @param to where the collective leaves it */
export function collectiveSteps(
  written: PlacementChange,
  found: Placement,
  to: Placement,
  tensor: TensorType,
  mesh: Mesh,
): CollectiveSteps {
  const { change, from } = preparedFor(changeWithoutIdle(written, mesh), found);
  if (change === undefined) return { from, steps: [] };
  return change.kind === 'reshard' || change.kind === 'declare'
    ? { from, steps: reshardSteps(from, to, tensor, mesh) }
    : { from, steps: [change] };
}
