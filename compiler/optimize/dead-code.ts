/**
 * Drops the nodes whose results nothing reads, and from loops the states and collected values that nothing
 * reads.
 */
import type { Graph, LoopNode, Node, TensorId } from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import { readsOf } from '../graph/uses.ts';

export function deadCode(graph: Graph): Graph {
  const live = new Set<TensorId>(graph.outputs.map((output) => output.tensor));
  const kept: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!results(node).some((tensor) => live.has(tensor.id))) continue;
    const smaller = node.kind === 'loop' ? withoutDeadResults(node, live) : node;
    for (const tensor of readsOf(smaller)) live.add(tensor);
    kept.push(smaller);
  }
  return kept.length === graph.nodes.length && kept.every((node) => graph.nodes.includes(node))
    ? graph
    : { ...graph, nodes: kept.reverse() };
}

/**
 * A state is live when its final value is read, or its value in some step is by what is live; so liveness
 * runs round the loop until it settles.
 */
function withoutDeadResults(node: LoopNode, live: ReadonlySet<TensorId>): LoopNode {
  const states = node.initial.length;
  const needed = node.results.map((tensor) => live.has(tensor.id));
  for (;;) {
    const outputs = node.body.outputs.filter((_, position) => needed[position]);
    const body = deadCode({ ...node.body, outputs });
    const read = new Set<TensorId>([
      ...outputs.map((output) => output.tensor),
      ...body.nodes.flatMap((inner) => [...readsOf(inner)]),
    ]);
    const more = node.body.inputs.flatMap((input, position) =>
      !needed[position] && read.has(input.tensor.id) ? [position] : [],
    );
    if (more.length > 0) {
      for (const position of more) needed[position] = true;
      continue;
    }
    const isNeeded = (_: unknown, position: number) => needed[position]!;
    return {
      ...node,
      initial: node.initial.filter(isNeeded),
      body: { ...body, inputs: node.body.inputs.slice(0, states).filter(isNeeded) },
      results: node.results.filter(isNeeded),
    };
  }
}
