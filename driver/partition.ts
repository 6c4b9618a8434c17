/** From the program of a whole mesh to that of each of its devices. */
import type { Graph } from '../compiler/graph/graph.ts';
import { entryPlacements } from '../compiler/lower/entry-placements.ts';
import { type DeviceProgram, localize } from '../compiler/partition/localize.ts';
import { type PlacedGraph, place } from '../compiler/partition/place.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';

export interface Partitioned {
  readonly placed: PlacedGraph;
  readonly device: DeviceProgram;
}

/**
 * Inputs and outputs live as the entry declares.
 * @throws UserError naming what cannot be computed where it is placed
 */
export function partition(program: TypedProgram, entry: string, graph: Graph, mesh: Mesh): Partitioned {
  const placed = place(graph, { mesh, ...entryPlacements(program, entry) });
  if (placed.kind === 'placed') return { placed: placed.placed, device: localize(placed.placed) };
  const [first] = placed.faults;
  throw new UserError(
    'wrong-input',
    `${entry} cannot run on this mesh: ${first?.message ?? 'its tensors have no place'}`,
    'choose a mesh whose axes divide what they cut, or write the collective that moves what is needed',
  );
}
