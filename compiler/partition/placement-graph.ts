/**
 * The placements of a mesh and the changes that lead from one to another, whatever the sizes of a tensor:
 * made as far as it is looked at, and then kept.
 */
import type { AxisList, Mesh, Placement } from '../../dsl/placement/placement.ts';
import type { PlacementChange } from './change.ts';
import { applyChange, isFault } from './change.ts';
import { candidateChanges } from './reshard-candidates.ts';
import type { Route } from './traffic.ts';
import { routeOf } from './traffic.ts';

/** One object for each placement. */
export interface Junction {
  readonly placement: Placement;
  readonly roads: () => readonly Road[];
}

export interface Road {
  readonly change: PlacementChange;
  readonly route: Route;
  readonly to: Junction;
}

export type PlacementGraph = (placement: Placement) => Junction;

/** Changes are over the axes alone; the roads of a junction are in the order of `candidateChanges`. */
export function placementGraph(axes: AxisList, mesh: Mesh): PlacementGraph {
  const junctions = new Map<string, Junction>();
  const candidates = candidateChanges(axes, mesh);

  const roadsFrom = (placement: Placement): readonly Road[] =>
    candidates(placement).flatMap((change) => {
      const after = applyChange(placement, change, mesh);
      if (isFault(after)) return [];
      return [{ change, route: routeOf(change, placement, mesh), to: junctionOf(after) }];
    });
  const junctionOf = (placement: Placement): Junction => {
    const key = placementKey(placement);
    const known = junctions.get(key);
    if (known !== undefined) return known;
    let roads: readonly Road[] | undefined;
    const junction: Junction = {
      placement,
      roads() {
        roads ??= roadsFrom(placement);
        return roads;
      },
    };
    junctions.set(key, junction);
    return junction;
  };
  return junctionOf;
}

/** Equal for equal placements, in whatever order pending axes are listed, and for no others. */
export function placementKey({ dims, pending }: Placement): string {
  const lists = dims.map((list) => `${list.join(' ')}|`);
  const combined = [...pending].map(([axis, combiner]) => `${axis} ${combiner}`);
  return `${lists.join('')}#${combined.sort().join('|')}`;
}
