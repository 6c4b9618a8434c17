/** What an index must be able to count: the language's indices are i32. */
import type { Graph, Node, Tensor } from '../compiler/graph/graph.ts';
import { elementCount } from '../compiler/graph/tensor-type.ts';
import { allNodes, allTensors } from '../compiler/graph/uses.ts';
import { UserError } from '../runtime/errors.ts';

const largestIndex = 2 ** 31 - 1;

/**
 * @throws UserError when a dimension, a loop or what is reduced at once has more points than an i32 counts.
 */
export function checkExtents(graph: Graph): void {
  const extents = [
    ...[...allTensors(graph).values()].flatMap(({ name, shape }) =>
      shape.map((extent) => ({ what: `a dimension of ${name}`, extent })),
    ),
    ...allNodes(graph).map(ownExtent),
  ];
  const large = extents.find(({ extent }) => extent > largestIndex);
  if (large !== undefined) refuse(graph, `${large.what} of ${large.extent}`);
}

/** @throws UserError when a tensor has more elements than a kernel, which counts them all, can address. */
export function checkElements(graph: Graph, tensors: Iterable<Tensor>): void {
  for (const tensor of tensors) {
    const elements = elementCount(tensor);
    if (elements > largestIndex) refuse(graph, `the ${elements} elements of ${tensor.name}`);
  }
}

interface Extent {
  readonly what: string;
  readonly extent: number;
}

/** What a node runs over beside its results. */
const ownExtents: { readonly [K in Node['kind']]: (node: Extract<Node, { kind: K }>) => Extent } = {
  compute: ({ reduce }) => ({
    what: `a reduction by ${reduce?.combiner ?? 'nothing'} over a range`,
    extent: (reduce?.extents ?? []).reduce((product, extent) => product * extent, 1),
  }),
  softmaxSum: ({ extent }) => ({ what: 'a softmax over a range', extent }),
  route: ({ experts }) => ({ what: 'a number of experts', extent: experts }),
  order: () => ({ what: 'an order', extent: 1 }),
  prefix: () => ({ what: 'a prefix', extent: 1 }),
  loop: ({ count }) => ({ what: 'a loop', extent: count }),
  collective: () => ({ what: 'a collective', extent: 1 }),
  block: () => ({ what: 'a block', extent: 1 }),
  exchange: ({ devices }) => ({ what: 'an exchange', extent: devices }),
};

function ownExtent(node: Node): Extent {
  return (ownExtents[node.kind] as (node: Node) => Extent)(node);
}

function refuse({ name }: Graph, what: string): never {
  throw new UserError(
    'exceeds-device',
    `${name} has ${what}, and an index counts to ${largestIndex}`,
    'choose smaller sizes',
  );
}
