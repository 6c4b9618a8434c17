/** One problem of a program as a program of its own, with inputs at random, to be measured apart. */
import type { Graph, GraphInput, Node, Tensor, TensorId } from '../../compiler/graph/graph.ts';
import { results } from '../../compiler/graph/graph.ts';
import { integer, loadsOf, mapScalar } from '../../compiler/graph/scalar.ts';
import { mapNodeScalars, nodeScalars, readsOf } from '../../compiler/graph/uses.ts';
import { nodesOf, type Problem } from '../../compiler/tiles/choices/problem.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import { natural } from '../../dsl/types/size.ts';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';
import { repeatedInput } from '../random-inputs.ts';

export interface Apart {
  readonly graph: Graph;
  readonly inputs: () => ReadonlyMap<string, TensorData>;
}

type ProblemNode = Problem['node'];

/** Steps of loops around it, and the device's coordinates, are 0. */
export function apart(problem: Problem, tensors: (id: TensorId) => Tensor): Apart {
  const own = nodesOf(problem).map(still);
  const last = own.at(-1)!;
  const { grouped } = last.kind === 'compute' ? last : { grouped: undefined };
  const routing: readonly Node[] =
    grouped === undefined
      ? []
      : [
          {
            kind: 'route',
            pick: grouped.pick,
            experts: grouped.experts,
            order: tensors(grouped.order),
            offsets: tensors(grouped.offsets),
          },
        ];
  const nodes = [...routing, ...own];
  const made = new Set(nodes.flatMap((each) => results(each).map(({ id }) => id)));
  const read = [...new Set(nodes.flatMap((each) => [...readsOf(each)]))].filter((id) => !made.has(id));
  const inputs = read.map((id): GraphInput => ({ path: `t${id}`, tensor: tensors(id) }));
  const outputs = givenBy(problem).map((id) => ({ path: `t${id}`, tensor: id }));
  const below = rangesOf(own, tensors);
  if (grouped !== undefined) below.set(grouped.pick, grouped.experts);
  return {
    graph: { name: 'apart', inputs, nodes, outputs },
    inputs: () => new Map(inputs.map(({ path, tensor }) => [path, randomOf(path, tensor, below)])),
  };
}

/** What others read of it. */
function givenBy(problem: Problem): readonly TensorId[] {
  if (problem.kind === 'rowCluster') return [...problem.cluster.stored];
  if (problem.kind === 'chain') return problem.outers.map(({ node }) => node.result.id);
  return results(problem.node).map(({ id }) => id);
}

function randomOf(path: string, tensor: Tensor, below: ReadonlyMap<TensorId, number>): TensorData {
  const { dtype, shape, id } = tensor;
  const isInteger = dtypeFacts[dtype].class === 'signed' || dtypeFacts[dtype].class === 'unsigned';
  const range = below.get(id);
  const element =
    isInteger && range !== undefined
      ? ({ kind: 'ix', range: natural(range) } as const)
      : ({ kind: 'dtype', dtype } as const);
  return repeatedInput({ path, element, dims: shape.map(natural) }, new Map(), 1);
}

/** What is looked up through a tensor is within all dimensions that it is used for. */
function rangesOf(nodes: readonly ProblemNode[], tensors: (id: TensorId) => Tensor): Map<TensorId, number> {
  const below = new Map<TensorId, number>();
  for (const scalar of nodes.flatMap(nodeScalars))
    for (const { tensor, subscripts } of loadsOf(scalar))
      for (const [axis, subscript] of subscripts.entries())
        for (const index of loadsOf(subscript)) {
          const extent = tensors(tensor).shape[axis]!;
          below.set(index.tensor, Math.min(extent, below.get(index.tensor) ?? extent));
        }
  return below;
}

/** The node in the first step of every loop, on the first device. */
function still(node: ProblemNode): ProblemNode {
  return mapNodeScalars(node, (scalar) =>
    mapScalar(scalar, (part) => (part.op === 'counter' || part.op === 'coordinate' ? integer(0) : part)),
  );
}
