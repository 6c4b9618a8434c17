/** A graph as what back ends take: it is compiled as it is, by a schedule that is made already. */
import type { Graph } from '../../compiler/graph/graph.ts';

export function programOf(graph: Graph) {
  return [
    { optimized: graph, below: new Map<string, number>() },
    { entry: graph.name, sizes: new Map<string, number>(), inputDtypes: new Map() },
  ] as const;
}
