/**
 * The extents that make every cut even. Dimensions of one index are padded together: to the least extent that
 * all the numbers of blocks divide which any of them is cut into. A product dimension `G * R` that is cut gets
 * whole groups as padding, so that with `G` it comes apart as before.
 */
import { devicesAlong, type Mesh, type Placement } from '../../../dsl/placement/placement.ts';
import { greatestCommonDivisor } from '../../../dsl/types/size.ts';
import type { ComputeNode, Graph, SoftmaxSumNode, TensorId } from '../../graph/graph.ts';
import { allNodes, allTensors } from '../../graph/uses.ts';
import { cutDimensions, type Dimension, linksOf, partLinks, reducedDimensions } from './links.ts';

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
  /** Of the node's iterators: padded are those of results, and those that are reduced over blocks. */
  readonly ofAxes: (node: ComputeNode | SoftmaxSumNode) => readonly number[];
}

export function evenExtents(graph: Graph, { mesh, placements, outputs }: Uneven): EvenExtents {
  const tensors = allTensors(graph);
  const numbers = numbered([...tensors].map(([id, { shape }]) => [id, shape.length] as const));
  const classes = disjointSets(numbers.count);
  const join = (left: Dimension, right: Dimension): void =>
    classes.join(numbers.of(left.tensor, left.dim), numbers.of(right.tensor, right.dim));
  const classOf = (tensor: TensorId, dim: number): number => classes.find(numbers.of(tensor, dim));
  const isCut = cutDimensions(placements, mesh);
  const reductions = new Map<TensorId, ReadonlyMap<number, readonly Dimension[]>>();
  /** Axes that are reduced over blocks: each is the whole of what it reads, or the major part. */
  const overParts: { readonly extent: number; readonly reads: readonly Dimension[] }[] = [];
  for (const node of allNodes(graph)) {
    for (const { from, to } of linksOf(node, tensors)) join(from, to);
    for (const { from, to } of partLinks(node, tensors, isCut)) join(from, to);
    if (node.kind !== 'compute') continue;
    const reduced = reducedDimensions(node, tensors, isCut);
    reductions.set(node.result.id, reduced);
    for (const [axis, reads] of reduced) {
      for (const other of reads.slice(1)) join(reads[0]!, other);
      overParts.push({ extent: node.reduce!.extents[axis - node.result.shape.length]!, reads });
    }
  }

  /** By class, the unit of which all its extents are multiples; how many units there must be, a divisor. */
  const units = new Map<number, number>();
  const measure = (own: number, extent: number): void => {
    units.set(own, greatestCommonDivisor(units.get(own) ?? 0, extent));
  };
  for (const [id, { shape }] of tensors)
    for (const [dim, extent] of shape.entries()) measure(classOf(id, dim), extent);
  for (const { extent, reads } of overParts)
    for (const { tensor, dim } of reads) measure(classOf(tensor, dim), extent);
  const divisors = new Map<number, number>();
  /** An extent of the class is to come in so many blocks. */
  const divide = (own: number, extent: number, blocks: number): void => {
    if (extent === 0) return;
    const needed = blocks / greatestCommonDivisor(blocks, extent / units.get(own)!);
    divisors.set(own, leastCommonMultiple(divisors.get(own) ?? 1, needed));
  };
  const cut = (tensor: TensorId, placement: Placement): void => {
    for (const [dim, list] of placement.dims.entries())
      divide(classOf(tensor, dim), tensors.get(tensor)!.shape[dim]!, devicesAlong(mesh, list));
  };
  for (const [tensor, placement] of placements) if (tensors.has(tensor)) cut(tensor, placement);
  for (const { path, tensor } of graph.outputs) {
    const declared = outputs.get(path);
    if (declared !== undefined) cut(tensor, declared);
  }
  for (const { extent, reads } of overParts)
    for (const { tensor, dim } of reads)
      divide(classOf(tensor, dim), extent, devicesAlong(mesh, placements.get(tensor)?.dims[dim] ?? []));

  /** A true extent of the class, padded. */
  const padded = (extent: number, own: number): number => {
    if (extent === 0) return 0;
    const unit = units.get(own)!;
    const divisor = divisors.get(own) ?? 1;
    return (extent / unit) * Math.ceil(unit / divisor) * divisor;
  };
  const of = (tensor: TensorId, dim: number): number =>
    padded(tensors.get(tensor)!.shape[dim]!, classOf(tensor, dim));
  return {
    isEven: [...tensors].every(([id, { shape }]) => shape.every((extent, dim) => extent === of(id, dim))),
    of,
    ofAxes: (node) => {
      const { id, shape } = node.result;
      const outer = shape.map((_, dim) => of(id, dim));
      if (node.kind === 'softmaxSum') return [...outer, node.extent, ...node.scoreExtents];
      const inner = (node.reduce?.extents ?? []).map((extent, position) => {
        const read = reductions.get(id)?.get(shape.length + position)?.[0];
        return read === undefined ? extent : padded(extent, classOf(read.tensor, read.dim));
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
  return (left / greatestCommonDivisor(left, right)) * right;
}
