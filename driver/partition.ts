/** From the program of a whole mesh to that of each of its devices. */
import type { Graph, TensorId } from '../compiler/graph/graph.ts';
import { entryPlacements } from '../compiler/lower/entry-placements.ts';
import { evenSizes } from '../compiler/partition/even/even-sizes.ts';
import { type EvenlyPlaced, placeEvenly } from '../compiler/partition/even/place-evenly.ts';
import type { PlacementFault } from '../compiler/partition/fault.ts';
import { type DeviceProgram, localize } from '../compiler/partition/localize.ts';
import { type PlaceOptions, place } from '../compiler/partition/place.ts';
import type { Mesh, Placement } from '../dsl/placement/placement.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';
import { checkExtents } from './index-limits.ts';

/**
 * Inputs and outputs live as the entry declares.
 * @throws UserError naming what cannot be computed where it is placed
 */
export function partition(program: TypedProgram, entry: string, graph: Graph, mesh: Mesh): DeviceProgram {
  const placed = place(graph, { mesh, ...entryPlacements(program, entry) });
  if (placed.kind === 'placed') return localize(placed.placed);
  throw notPlaced(entry, placed.faults);
}

/**
 * Inputs and outputs live as `options` say, on a mesh that need not divide them: what it does not divide is
 * padded.
 * @param placements of all tensors, where they are known; otherwise they follow from the inputs
 * @throws UserError naming what cannot be computed where it is placed, and when an index over padding would
 * not fit in an i32
 */
export function partitionPadded(
  graph: Graph,
  options: PlaceOptions,
  placements?: ReadonlyMap<TensorId, Placement>,
): DeviceProgram {
  const padded =
    placements === undefined ? placeEvenly(graph, options) : placePadded(graph, options, placements);
  if (padded.kind === 'misplaced') throw notPlaced(graph.name, padded.faults);
  checkExtents(padded.placed.graph);
  return { ...localize(padded.placed), whole: padded.whole };
}

function placePadded(
  graph: Graph,
  options: PlaceOptions,
  placements: ReadonlyMap<TensorId, Placement>,
): EvenlyPlaced {
  const { mesh, outputs } = options;
  const even = evenSizes(graph, { mesh, outputs, placements });
  const placed = place(even.graph, options);
  return placed.kind === 'placed' ? { ...placed, whole: even.whole } : placed;
}

function notPlaced(entry: string, [first]: readonly PlacementFault[]): UserError {
  return new UserError(
    'wrong-input',
    `${entry} cannot run on this mesh: ${first?.message ?? 'its tensors have no place'}`,
    'choose a mesh whose axes divide what they cut, or write the collective that moves what is needed',
  );
}
