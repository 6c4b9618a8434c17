/**
 * Takes collectives out: on values they are the identity, and on a single device nothing else. What was
 * partitioned has none left.
 */
import type { CollectiveNode, ComputeNode, Graph, Node, Tensor, TensorId } from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import { iterators, load } from '../graph/scalar.ts';
import { allNodes, allTensors, renameReads } from '../graph/uses.ts';

export function withoutCollectives(graph: Graph): Graph {
  const collectives = allNodes(graph).filter((node) => node.kind === 'collective');
  if (collectives.length === 0) return graph;
  const stands = new Map<TensorId, TensorId>();
  for (const { source, result } of collectives) stands.set(result.id, stands.get(source) ?? source);
  const copied = copiedOutputs(graph, stands);
  for (const tensor of copied) stands.delete(tensor);
  const tensors = allTensors(graph);
  const name = (tensor: TensorId): TensorId => stands.get(tensor) ?? tensor;
  const nodes = without(graph.nodes, (node) =>
    copied.has(node.result.id) ? copyOf(tensors.get(name(node.source))!, node.result) : undefined,
  );
  return {
    ...graph,
    nodes: nodes.map((node) => renameReads(node, name)),
    outputs: graph.outputs.map((output) => ({ ...output, tensor: name(output.tensor) })),
  };
}

/** Outputs are different results of nodes: a collective of an input or of another output leaves a copy. */
function copiedOutputs(graph: Graph, stands: ReadonlyMap<TensorId, TensorId>): ReadonlySet<TensorId> {
  const own = new Set(graph.nodes.flatMap(results).map(({ id }) => id));
  const given = new Set(graph.outputs.map(({ tensor }) => tensor).filter((tensor) => !stands.has(tensor)));
  const copied = new Set<TensorId>();
  for (const { tensor } of graph.outputs) {
    const source = stands.get(tensor);
    if (source === undefined) continue;
    if (!own.has(source) || given.has(source)) copied.add(tensor);
    given.add(source);
  }
  return copied;
}

type Replace = (node: CollectiveNode) => ComputeNode | undefined;

function without(nodes: readonly Node[], replace: Replace): readonly Node[] {
  return nodes.flatMap((node): readonly Node[] => {
    if (node.kind === 'collective') return [replace(node) ?? []].flat();
    if (node.kind !== 'loop') return [node];
    return [{ ...node, body: { ...node.body, nodes: without(node.body.nodes, replace) } }];
  });
}

function copyOf(source: Tensor, result: Tensor): ComputeNode {
  const body = load(source, iterators(result.shape.length));
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}
