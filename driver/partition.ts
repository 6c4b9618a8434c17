/** From the program of a whole mesh to that of each of its devices. */
import type { Graph } from '../compiler/graph/graph.ts';
import { entryPlacements } from '../compiler/lower/entry-placements.ts';
import { type CollectiveOptions, exactOptions } from '../compiler/partition/collectives/options.ts';
import { localizeOptimized } from '../compiler/partition/collectives/passes.ts';
import type { DeviceProgram } from '../compiler/partition/localize.ts';
import { place } from '../compiler/partition/place.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';

/**
 * Inputs and outputs live as the entry declares. Passes over collectives keep every bit of what is computed,
 * and send no more than is written, unless other options are given.
 * @throws UserError naming what cannot be computed where it is placed
 */
export function partition(
  program: TypedProgram,
  entry: string,
  graph: Graph,
  mesh: Mesh,
  collectives: CollectiveOptions = exactOptions,
): DeviceProgram {
  const placed = place(graph, { mesh, ...entryPlacements(program, entry) });
  if (placed.kind === 'placed') return localizeOptimized(placed.placed, collectives);
  const [first] = placed.faults;
  throw new UserError(
    'wrong-input',
    `${entry} cannot run on this mesh: ${first?.message ?? 'its tensors have no place'}`,
    'choose a mesh whose axes divide what they cut, or write the collective that moves what is needed',
  );
}
