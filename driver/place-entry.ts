/** Where the tensors of an entry live on a mesh. */
import type { Graph } from '../compiler/graph/graph.ts';
import { entryPlacements } from '../compiler/lower/entry-placements.ts';
import { type PlacedGraph, place } from '../compiler/partition/place.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';

/**
 * Inputs and outputs live as the entry declares.
 * @throws UserError naming what cannot be computed where it is placed
 */
export function placeEntry(program: TypedProgram, entry: string, graph: Graph, mesh: Mesh): PlacedGraph {
  const placed = place(graph, { mesh, ...entryPlacements(program, entry) });
  if (placed.kind === 'placed') return placed.placed;
  const [first] = placed.faults;
  throw new UserError(
    'wrong-input',
    `${entry} cannot run on this mesh: ${first?.message ?? 'its tensors have no place'}`,
    'choose a mesh whose axes divide what they cut, or write the collective that moves what is needed',
  );
}
