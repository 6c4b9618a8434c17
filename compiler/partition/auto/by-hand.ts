/**
 * Where everything lives in a program that is placed by hand but for the calls of an `auto fn` in it: by the
 * rule alone, which takes what comes out of such a call for an input that lives where it is declared.
 */
import { type AxisList, type Placement, sameList } from '../../../dsl/placement/placement.ts';
import { type CollectiveNode, type Graph, type Node, results, type TensorId } from '../../graph/graph.ts';
import { allNodes, allTensors } from '../../graph/uses.ts';
import type { AutoRegion, BorderTensor } from '../../lower/auto-region.ts';
import { type PlaceOptions, type PlaceResult, place } from '../place.ts';

/** The placements are of all tensors but those that are made in the regions. */
export function placeByHand(
  graph: Graph,
  regions: readonly AutoRegion[],
  { mesh, inputs, outputs }: PlaceOptions,
): PlaceResult {
  if (regions.length === 0) return place(graph, { mesh, inputs, outputs });
  const borders = regions.flatMap((region) => region.results.map((result) => ({ region, result })));
  const tensors = allTensors(graph);
  const pathOf = ({ tensor }: BorderTensor): string => `result ${tensor}`;
  const around: Graph = {
    ...withoutRegions(graph, new Set(regions.flatMap(({ inside }) => [...inside]))),
    inputs: [
      ...graph.inputs,
      ...borders.map(({ result }) => ({ path: pathOf(result), tensor: tensors.get(result.tensor)! })),
    ],
  };
  const makers = new Map(borders.map(({ result: { tensor } }) => [tensor, declarationOf(graph, tensor)]));
  const placedFrom = (leading: readonly (readonly AxisList[])[]): PlaceResult => {
    const given = borders.map(({ result }, at): readonly [string, Placement] => {
      const { dims, pending = new Map() } = makers.get(result.tensor)!.change;
      return [pathOf(result), { dims: [...leading[at]!, ...dims.map((list) => list ?? [])], pending }];
    });
    const found = place(around, { mesh, inputs: new Map([...inputs, ...given]), outputs });
    if (found.kind === 'placed') return found;
    const faults = found.faults.map((fault) => ({
      ...fault,
      node: fault.node ?? (fault.tensor === undefined ? undefined : makers.get(fault.tensor)),
    }));
    return { ...found, faults };
  };

  // A call for each value of an index is cut as its arguments are, which may come from other calls.
  let leading = borders.map(({ result }) => result.leading.map((): AxisList => []));
  for (;;) {
    const found = placedFrom(leading);
    const placements = found.kind === 'placed' ? found.placed.placements : found.placements;
    const next = borders.map(({ region, result }, at) =>
      result.leading.map((index, dim) => longest(leading[at]![dim]!, listsOf(index, region, placements))),
    );
    if (next.every((lists, at) => lists.every((list, dim) => sameList(list, leading[at]![dim]!))))
      return found;
    leading = next;
  }
}

/** The axes on the index variable in what goes into the region. */
function listsOf(
  index: number,
  region: AutoRegion,
  placements: ReadonlyMap<TensorId, Placement>,
): readonly AxisList[] {
  return region.arguments.flatMap(({ tensor, leading }) => {
    const list = placements.get(tensor)?.dims[leading.indexOf(index)];
    return list === undefined ? [] : [list];
  });
}

function longest(first: AxisList, others: readonly AxisList[]): AxisList {
  return others.reduce((best, list) => (list.length > best.length ? list : best), first);
}

type Declaration = CollectiveNode & { readonly change: { readonly kind: 'declare' } };

function declarationOf(graph: Graph, tensor: TensorId): Declaration {
  const isOwn = (node: Node): node is Declaration =>
    node.kind === 'collective' && node.result.id === tensor && node.change.kind === 'declare';
  const found = allNodes(graph).find(isOwn);
  if (found === undefined) throw new Error(`tensor ${tensor} comes out of an auto function undeclared`);
  return found;
}

function withoutRegions(graph: Graph, inside: ReadonlySet<TensorId>): Graph {
  const around = graph.nodes.flatMap((node): readonly Node[] => {
    if (results(node).some(({ id }) => inside.has(id))) return [];
    return [node.kind === 'loop' ? { ...node, body: withoutRegions(node.body, inside) } : node];
  });
  return { ...graph, nodes: around };
}
