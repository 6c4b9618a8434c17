/** For tests of what compares results: a program that is not the same. */
import type { Graph } from '../../compiler/graph/graph.ts';
import { apply, mapScalar } from '../../compiler/graph/scalar.ts';
import { mapNodeScalars } from '../../compiler/graph/uses.ts';

/** Sums of floats become differences. */
export function withDifferences(graph: Graph): Graph {
  const nodes = graph.nodes.map((node) =>
    mapNodeScalars(node, (root) =>
      mapScalar(root, (part) =>
        part.op === 'apply' && part.function === 'add' && part.dtype === 'f32'
          ? apply('sub', part.operands[0]!, part.operands[1]!)
          : part,
      ),
    ),
  );
  return { ...graph, nodes };
}
