/**
 * The extents that make every cut even. Dimensions of one index are padded together: to the least multiple of
 * all the numbers of blocks that any of them is cut into.
 */
import { devicesAlong, type Mesh, type Placement } from '../../../dsl/placement/placement.ts';
import type { ComputeNode, Graph, SoftmaxSumNode, TensorId } from '../../graph/graph.ts';
import { allNodes, allTensors } from '../../graph/uses.ts';
import { type Dimension, linksOf, reducedDimensions } from './links.ts';

export interface Uneven {
  readonly mesh: Mesh;
  /** Of every tensor that is cut; those that are left out are whole. */
  readonly placements: ReadonlyMap<TensorId, Placement>;
  /** What outputs are declared as, by path, where they are cut further than they come. */
  readonly outputs: ReadonlyMap<string, Placement>;
}

export interface EvenExtents {
  readonly isEven: boolean;
  /** Of the dimension, padded. */
  readonly of: (tensor: TensorId, dim: number) => number;
  /** Of the node's iterators, padded where they run over padding: outputs, and what is reduced over blocks. */
  readonly ofAxes: (node: ComputeNode | SoftmaxSumNode) => readonly number[];
}

export function evenExtents(graph: Graph, { mesh, placements, outputs }: Uneven): EvenExtents {
  const tensors = allTensors(graph);
  const numbers = numbered([...tensors].map(([id, { shape }]) => [id, shape.length] as const));
  const classes = disjointSets(numbers.count);
  const join = (left: Dimension, right: Dimension): void =>
    classes.join(numbers.of(left.tensor, left.dim), numbers.of(right.tensor, right.dim));
  const nodes = allNodes(graph);
  for (const node of nodes) for (const { from, to } of linksOf(node, tensors)) join(from, to);
  const reductions = new Map<TensorId, ReadonlyMap<number, readonly Dimension[]>>();
  for (const node of nodes) {
    if (node.kind !== 'compute') continue;
    const reduced = reducedDimensions(node, tensors, placements, mesh);
    reductions.set(node.result.id, reduced);
    for (const [first, ...others] of reduced.values()) for (const other of others) join(first!, other);
  }

  /** By class, a multiple of the numbers of blocks that its dimensions are cut into. */
  const multiples = new Map<number, number>();
  const cut = (tensor: TensorId, placement: Placement): void => {
    for (const [dim, list] of placement.dims.entries()) {
      const own = classes.find(numbers.of(tensor, dim));
      multiples.set(own, leastCommonMultiple(multiples.get(own) ?? 1, devicesAlong(mesh, list)));
    }
  };
  for (const [tensor, placement] of placements) if (tensors.has(tensor)) cut(tensor, placement);
  for (const { path, tensor } of graph.outputs) {
    const declared = outputs.get(path);
    if (declared !== undefined) cut(tensor, declared);
  }

  const of = (tensor: TensorId, dim: number): number => {
    const multiple = multiples.get(classes.find(numbers.of(tensor, dim))) ?? 1;
    return Math.ceil(tensors.get(tensor)!.shape[dim]! / multiple) * multiple;
  };
  return {
    isEven: [...tensors].every(([id, { shape }]) => shape.every((extent, dim) => extent === of(id, dim))),
    of,
    ofAxes: (node) => {
      const { id, shape } = node.result;
      const outer = shape.map((_, dim) => of(id, dim));
      if (node.kind === 'softmaxSum') return [...outer, node.extent, ...node.scoreExtents];
      const inner = (node.reduce?.extents ?? []).map((extent, position) => {
        const read = reductions.get(id)?.get(shape.length + position)?.[0];
        return read === undefined ? extent : of(read.tensor, read.dim);
      });
      return [...outer, ...inner];
    },
  };
}

/** A number for each dimension of each tensor. */
function numbered(ranks: readonly (readonly [TensorId, number])[]) {
  const first = new Map<TensorId, number>();
  let count = 0;
  for (const [tensor, rank] of ranks) {
    first.set(tensor, count);
    count += rank;
  }
  return { count, of: (tensor: TensorId, dim: number) => first.get(tensor)! + dim };
}

/** Union-find over the numbers below `count`, with path halving. */
function disjointSets(count: number) {
  const parents = Array.from({ length: count }, (_, number) => number);
  const find = (number: number): number => {
    let own = number;
    while (parents[own] !== own) {
      parents[own] = parents[parents[own]!]!;
      own = parents[own]!;
    }
    return own;
  };
  return {
    find,
    join: (left: number, right: number): void => {
      parents[find(left)] = find(right);
    },
  };
}

function leastCommonMultiple(left: number, right: number): number {
  let [divisor, rest] = [left, right];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (left / divisor) * right;
}
