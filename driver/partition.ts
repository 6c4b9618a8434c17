/** From the program of a whole mesh to that of each of its devices. */
import type { Graph } from '../compiler/graph/graph.ts';
import { entryPlacements } from '../compiler/lower/entry-placements.ts';
import { deriveDispatch } from '../compiler/partition/dispatch/derive-dispatch.ts';
import { type DeviceProgram, localize } from '../compiler/partition/localize.ts';
import { type PlaceOptions, type PlaceResult, place } from '../compiler/partition/place.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';

/**
 * Inputs and outputs live as the entry declares. Experts that tokens on other devices look up get their
 * tokens by all-to-all.
 * @throws UserError naming what cannot be computed where it is placed
 */
export function partition(program: TypedProgram, entry: string, graph: Graph, mesh: Mesh): DeviceProgram {
  const placed = placeOrDispatch(graph, { mesh, ...entryPlacements(program, entry) });
  if (placed.kind === 'placed') return localize(placed.placed);
  const [first] = placed.faults;
  throw new UserError(
    'wrong-input',
    `${entry} cannot run on this mesh: ${first?.message ?? 'its tensors have no place'}`,
    'choose a mesh whose axes divide what they cut, or write the collective that moves what is needed',
  );
}

function placeOrDispatch(graph: Graph, options: PlaceOptions): PlaceResult {
  const written = place(graph, options);
  if (written.kind === 'placed') return written;
  const dispatched = deriveDispatch(graph, options.inputs, options.mesh, { capacityFactor: undefined });
  return dispatched === graph ? written : place(dispatched, options);
}
