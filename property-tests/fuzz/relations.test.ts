/** Relations of programs that cannot be written as source, such as look up without a clamp. */
import { expect, test } from 'vitest';
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import type { Graph, Node, Scalar, Tensor } from '../../compiler/graph/graph.ts';
import { apply, float, integer, iterator, iterators, load } from '../../compiler/graph/scalar.ts';
import { elementCount } from '../../compiler/graph/tensor-type.ts';
import { allNodes } from '../../compiler/graph/uses.ts';
import { optimize } from '../../compiler/optimize/passes.ts';
import { checkRelation } from './relations.ts';

/** Sums are over as many terms as are said. */
function compute(result: Tensor, body: Scalar, terms?: number): Node {
  const sum = { combiner: 'sum', extents: [terms ?? 0], finish: undefined } as const;
  return { kind: 'compute', result, body, reduce: terms === undefined ? undefined : sum, grouped: undefined };
}

test('a product by expert that is too thin to be grouped holds no order', async () => {
  const bias: Tensor = { id: 0, name: 'bias', dtype: 'f32', shape: [2] };
  const left: Tensor = { id: 1, name: 'left', dtype: 'f32', shape: [4, 4] };
  const pick: Tensor = { id: 2, name: 'pick', dtype: 'i32', shape: [4, 2] };
  const weights: Tensor = { id: 3, name: 'weights', dtype: 'f32', shape: [2, 4, 4, 4] };
  const product: Tensor = { id: 4, name: 'product', dtype: 'f32', shape: [4, 2, 4, 4] };
  const none: Tensor = { id: 5, name: 'none', dtype: 'f32', shape: [0, 4] };
  const picked = load(pick, iterators(2));
  const factors = [
    load(left, [iterator(0), iterator(4)]),
    load(weights, [picked, iterator(4), iterator(2), iterator(3)]),
  ];
  const graph: Graph = {
    name: 'f',
    inputs: [bias, left, pick].map((tensor) => ({ path: tensor.name, tensor })),
    nodes: [
      compute(weights, apply('add', float(1), load(bias, [iterator(0)]))),
      compute(product, apply('mul', ...factors), 4),
      compute(none, load(product, [0, 0, 0, 0].map(integer))),
    ],
    outputs: [{ path: 'out', tensor: none.id }],
  };
  expect(allNodes(optimize(graph)).map(({ kind }) => kind)).toContain('route');
  const zeros = (tensor: Tensor): TensorValue<number> => {
    return { ...tensor, data: new Float64Array(elementCount(tensor)) };
  };
  const inputs = new Map([bias, left, pick].map((tensor) => [tensor.id, zeros(tensor)]));
  expect(await checkRelation('live memory', { program: { graph, inputs }, seed: 0 })).toBe('holds');
});
