/** What of the language random programs have in them, counted by name. */
import type { Graph, Node, Scalar, TensorId } from '../../compiler/graph/graph.ts';
import { results } from '../../compiler/graph/graph.ts';
import { loadsOf, subexpressions } from '../../compiler/graph/scalar.ts';
import { allNodes, allTensors, nodeScalars, readsOf } from '../../compiler/graph/uses.ts';
import type { MeshSubject } from './subject.ts';

/** How many programs, or programs on a mesh, have each. */
export type Coverage = Map<string, number>;

export function count(coverage: Coverage, features: Iterable<string>): void {
  for (const feature of new Set(features)) coverage.set(feature, (coverage.get(feature) ?? 0) + 1);
}

/** How many different features there are of a kind: `pair`, `mesh` … */
export function distinct(coverage: Coverage, kind: string): number {
  return [...coverage.keys()].filter((feature) => feature.startsWith(`${kind} `)).length;
}

/** @param optimized what the optimizer makes of it: some nodes only it makes */
export function programFeatures(graph: Graph, optimized: Graph): readonly string[] {
  const nodes = allNodes(graph);
  const tensors = [...allTensors(graph).values()];
  const extents = tensors.flatMap(({ shape }) => shape);
  return [
    ...nodes.map(({ kind }) => `node ${kind}`),
    ...nodes.flatMap((node) =>
      node.kind === 'compute' && node.reduce ? [`combiner ${node.reduce.combiner}`] : [],
    ),
    ...nodes.flatMap(nodeScalars).flatMap(scalarFeatures),
    ...tensors.map(({ dtype }) => `dtype ${dtype}`),
    ...extents.map((extent) => `size ${sizeClass(extent)}`),
    ...tensors.map(({ shape }) => `rank ${shape.length}`),
    ...pairsOf(graph),
    ...allNodes(optimized).map(({ kind }) => `made ${kind}`),
  ];
}

export const sizeClasses = ['0', '1', 'prime', 'composite'] as const;

function sizeClass(extent: number): (typeof sizeClasses)[number] {
  if (extent === 0 || extent === 1) return `${extent}`;
  const isDivided = Array.from({ length: extent - 2 }, (_, at) => at + 2).some((by) => extent % by === 0);
  return isDivided ? 'composite' : 'prime';
}

function scalarFeatures(root: Scalar): readonly string[] {
  return subexpressions(root).flatMap((scalar) => {
    if (scalar.op === 'apply') return [`function ${scalar.function}`, `scalar apply`];
    const looksUp = scalar.op === 'load' && scalar.subscripts.some((own) => loadsOf(own).length > 0);
    return looksUp ? ['scalar load', 'look-up'] : [`scalar ${scalar.op}`];
  });
}

/** Operations that one reads of the other. */
function pairsOf(graph: Graph): readonly string[] {
  const definers = new Map<TensorId, Node>();
  for (const node of allNodes(graph)) for (const { id } of results(node)) definers.set(id, node);
  return allNodes(graph).flatMap((node) =>
    [...readsOf(node)].map((id) => {
      const from = definers.get(id);
      return `pair ${from === undefined ? 'input' : operation(from)} → ${operation(node)}`;
    }),
  );
}

function operation(node: Node): string {
  if (node.kind !== 'compute') return node.kind;
  return node.reduce === undefined ? 'map' : node.reduce.combiner;
}

/** Of how a program is cut, and of what its devices do. */
export function meshFeatures({ cut, partitioned: { placed, device } }: MeshSubject): readonly string[] {
  const { mesh } = cut.options;
  const moved = allNodes(cut.written).flatMap((node) =>
    node.kind === 'collective' ? [`change ${node.change.kind}`] : [],
  );
  const placements = [...placed.placements.values()];
  return [
    `mesh ${mesh.axes.map(({ size }) => size).join('×')}`,
    ...moved,
    ...allNodes(device.graph).flatMap((node) =>
      node.kind === 'exchange' ? [`exchange ${node.verb}`, `exchanged ${node.combiner}`] : [],
    ),
    ...placements.flatMap(({ pending }) => [...pending.values()].map((combiner) => `pending ${combiner}`)),
    ...placements.flatMap(({ dims }) => dims.map((list) => `cut by ${list.length}`)),
    ...((device.whole?.inputs.size ?? 0) > 0 ? ['padded input'] : []),
    ...((device.whole?.outputs.size ?? 0) > 0 ? ['padded output'] : []),
  ];
}
