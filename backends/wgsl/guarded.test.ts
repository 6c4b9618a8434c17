/** Reads that a condition guards, where what is read would be out of range. */
import { test } from 'vitest';
import type { ComputeNode, Graph, Tensor } from '../../compiler/graph/graph.ts';
import { apply, constant, float, integer, iterator, load } from '../../compiler/graph/scalar.ts';
import { expectAgreement } from './testing.ts';

const x: Tensor = { id: 0, name: 'x', dtype: 'f32', shape: [4] };

/** `for i: sum r: if i >= 1 then x[i − 1] else 0`, the numbers of i known in the kernel. */
function shifted(extent: number, dtype: Tensor['dtype']): Graph {
  const source: Tensor = { ...x, dtype };
  const result: Tensor = { id: 1, name: 'y', dtype: 'f32', shape: [4] };
  const at = apply('sub', iterator(0), integer(1));
  const inside = apply('le', integer(0), at);
  const node: ComputeNode = {
    kind: 'compute',
    result,
    body: apply('select', inside, load(source, [at]), float(0)),
    reduce: { combiner: 'sum', extents: [extent], finish: undefined },
    grouped: undefined,
  };
  return {
    name: 'shifted',
    inputs: [{ path: 'x', tensor: source }],
    nodes: [node],
    outputs: [{ path: 'y', tensor: 1 }],
  };
}

test.each(['f32', 'bf16', 'f8e4m3'] as const)('of %s, by a number', async (dtype) => {
  for (const extent of [1, 3, 4]) await expectAgreement(shifted(extent, dtype));
});

test('bools have an order', async () => {
  const [left, right]: readonly Tensor[] = [0, 1].map((id) => ({
    id,
    name: `b${id}`,
    dtype: 'bool',
    shape: [8],
  }));
  for (const name of ['lt', 'le'] as const) {
    const result: Tensor = { id: 2, name: 'y', dtype: 'bool', shape: [8] };
    const [first, second] = [left!, right!].map((tensor) => load(tensor, [iterator(0)]));
    const body = apply('or', apply(name, first!, second!), apply(name, first!, constant('bool', 0)));
    await expectAgreement({
      name,
      inputs: [left!, right!].map((tensor) => ({ path: tensor.name, tensor })),
      nodes: [{ kind: 'compute', result, body, reduce: undefined, grouped: undefined }],
      outputs: [{ path: 'y', tensor: 2 }],
    });
  }
});
