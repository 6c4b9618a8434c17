/**
 * Places a program whose sizes the mesh need not divide. Where tensors live follows from the inputs, as
 * anywhere, but only once sizes divide; so padding and placing take turns, each knowing what the other found
 * the time before, until nothing new is found.
 */
import { type Mesh, type Placement, samePlacement } from '../../../dsl/placement/placement.ts';
import type { Graph, TensorId } from '../../graph/graph.ts';
import { allNodes, allTensors } from '../../graph/uses.ts';
import { Misplaced } from '../fault.ts';
import { changeWithoutIdle, placementWithoutIdle } from '../idle-axes.ts';
import { type PlacedGraph, type PlaceOptions, type PlaceResult, place } from '../place.ts';
import { placementAfter } from '../placement-after.ts';
import { evenSizes, type WholeShapes } from './even-sizes.ts';

type Placements = ReadonlyMap<TensorId, Placement>;

export type EvenlyPlaced =
  | { readonly kind: 'placed'; readonly placed: PlacedGraph; readonly whole: WholeShapes }
  | Extract<PlaceResult, { readonly kind: 'misplaced' }>;

/** As `place`, of the padded program. */
export function placeEvenly(graph: Graph, options: PlaceOptions): EvenlyPlaced {
  const { mesh, outputs } = options;
  const declared = new Map([...outputs].map(([path, to]) => [path, placementWithoutIdle(to, mesh)]));
  // A node is where it stays when those before it are: at the latest each turn settles one more.
  const turns = allNodes(graph).length + 2;
  let known = inputPlacements(graph, options);
  for (let turn = 1; ; turn++) {
    const even = evenSizes(graph, { mesh, placements: known, outputs: declared });
    const result = place(even.graph, options);
    const found = merged(graph, known, placementsOf(result), mesh);
    if (turn < turns && !isSame(known, found)) {
      known = found;
      continue;
    }
    return result.kind === 'placed' ? { ...result, whole: even.whole } : result;
  }
}

function placementsOf(result: PlaceResult): Placements {
  return result.kind === 'placed' ? result.placed.placements : result.placements;
}

function inputPlacements(graph: Graph, { inputs, mesh }: PlaceOptions): Placements {
  return new Map(
    graph.inputs.flatMap(({ path, tensor }) => {
      const given = inputs.get(path);
      return given === undefined ? [] : [[tensor.id, placementWithoutIdle(given, mesh)] as const];
    }),
  );
}

/** Of the program's own tensors. A collective says where its result lives, be it even or not. */
function merged(graph: Graph, known: Placements, found: Placements, mesh: Mesh): Placements {
  const own = allTensors(graph);
  const all = new Map([...known, ...found].filter(([tensor]) => own.has(tensor)));
  for (const node of allNodes(graph)) {
    if (node.kind !== 'collective' || found.has(node.result.id)) continue;
    const from = all.get(node.source);
    const to = from && afterCollective(from, changeWithoutIdle(node.change, mesh), mesh);
    if (to !== undefined) all.set(node.result.id, to);
  }
  return all;
}

/** undefined where it does not fit, which placing will say. */
function afterCollective(
  from: Placement,
  change: ReturnType<typeof changeWithoutIdle>,
  mesh: Mesh,
): Placement | undefined {
  try {
    return change === undefined ? from : placementAfter(from, change, mesh);
  } catch (error) {
    if (error instanceof Misplaced) return undefined;
    throw error;
  }
}

function isSame(left: Placements, right: Placements): boolean {
  return (
    left.size === right.size &&
    [...left].every(([tensor, placement]) => {
      const other = right.get(tensor);
      return other !== undefined && samePlacement(placement, other);
    })
  );
}
