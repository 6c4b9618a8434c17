/** The steps in which devices carry out a collective of a placed program. */
import type { Mesh, Placement } from '../../dsl/placement/placement.ts';
import type { PlacementChange, TensorType } from '../graph/graph.ts';
import { changeWithoutIdle } from './idle-axes.ts';
import { type ReshardStep, reshardSteps } from './reshard-steps.ts';

/** None where nothing is to be done. */
export function collectiveSteps(
  written: PlacementChange,
  from: Placement,
  to: Placement,
  tensor: TensorType,
  mesh: Mesh,
): readonly ReshardStep[] {
  const change = changeWithoutIdle(written, mesh);
  if (change === undefined) return [];
  return change.kind === 'reshard' || change.kind === 'declare'
    ? reshardSteps(from, to, tensor, mesh)
    : [change];
}
