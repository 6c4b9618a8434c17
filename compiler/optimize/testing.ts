/** For tests: the optimized program of one device of a mesh. */
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { Graph } from '../graph/graph.ts';
import { entryPlacements } from '../lower/entry-placements.ts';
import { lowerEntry } from '../lower/lower-entry.ts';
import { checkText } from '../lower/testing.ts';
import { localize } from '../partition/localize.ts';
import { place } from '../partition/place.ts';
import { optimize } from './passes.ts';

/**
 * @param sizes those that are not devices along axes of the mesh
 * @throws Error where the entry is rejected or misplaced
 */
export function optimizedDeviceGraph(
  text: string,
  entry: string,
  sizes: Readonly<Record<string, number>>,
  mesh: Mesh,
): Graph {
  const program = checkText(text);
  const axes = mesh.axes.map(({ name, size }) => [name, size] as const);
  const given = new Map([...Object.entries(sizes), ...axes]);
  const lowered = lowerEntry(program, entry, { sizes: given, inputDtypes: new Map() });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics[0]!.message);
  const placed = place(lowered.graph, { mesh, ...entryPlacements(program, entry) });
  if (placed.kind === 'misplaced') throw new Error(placed.faults[0]!.message);
  return optimize(localize(placed.placed).graph);
}
