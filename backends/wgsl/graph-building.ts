/** For tests: graphs of one node. */
import type { Combiner, Graph, GroupedLookup, Node, Scalar, Tensor } from '../../compiler/graph/graph.ts';
import { results } from '../../compiler/graph/graph.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';

export function tensor(id: number, name: string, dtype: Dtype, shape: readonly number[]): Tensor {
  return { id, name, dtype, shape };
}

/** Everything that the nodes define and nothing reads later is an output, named after its tensor. */
export function graphOf(name: string, inputs: readonly Tensor[], nodes: readonly Node[]): Graph {
  return {
    name,
    inputs: inputs.map((at) => ({ path: at.name, tensor: at })),
    nodes,
    outputs: nodes.flatMap((node) => results(node).map((at) => ({ path: at.name, tensor: at.id }))),
  };
}

export function mapNode(result: Tensor, body: Scalar): Node {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

export function reduceNode(
  result: Tensor,
  combiner: Combiner,
  extents: readonly number[],
  body: Scalar,
  finish?: Scalar,
  grouped?: GroupedLookup,
): Node {
  return { kind: 'compute', result, body, reduce: { combiner, extents, finish }, grouped };
}
