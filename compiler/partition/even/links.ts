/**
 * Which dimensions of tensors run over one index: those that an iterator subscripts by itself, and those that
 * a node hands on as they are. They are padded together, so that what was read in place still is.
 */
import { devicesAlong, type Mesh, type Placement } from '../../../dsl/placement/placement.ts';
import type { ComputeNode, Node, NodeKind, Tensor, TensorId } from '../../graph/graph.ts';
import { type Load, loadsOf } from '../../graph/scalar.ts';
import { nodeScalars } from '../../graph/uses.ts';
import { extentsOf } from '../../optimize/nodes.ts';
import { partialOf } from '../pending.ts';

/** One dimension of a tensor. */
export interface Dimension {
  readonly tensor: TensorId;
  readonly dim: number;
}

/** A dimension that a node reads and one that it defines, or, in a loop, two that are one after a step. */
export interface Link {
  readonly from: Dimension;
  readonly to: Dimension;
}

/** By id, with their true shapes. */
export type Tensors = ReadonlyMap<TensorId, Tensor>;

type LinksOf = {
  readonly [K in NodeKind]: (node: Extract<Node, { kind: K }>, tensors: Tensors) => readonly Link[];
};

const rules: LinksOf = {
  compute: outputLinks,
  softmaxSum: outputLinks,
  route: () => [],
  order: ({ source, result }) => between(source, result.id, result.shape.length - 1),
  prefix: ({ source, result }) => between(source, result.id, result.shape.length),
  collective: ({ source, result }) => between(source, result.id, result.shape.length),
  block: ({ source, result, devices }) =>
    between(source, result.id, result.shape.length).filter(({ to }) => devices[to.dim] === 1),
  exchange: ({ source, result, verb }, tensors) => {
    const added = result.shape.length - tensors.get(source)!.shape.length;
    // A leading dimension of as many chunks as there are devices stays.
    const chunks = verb === 'all_to_all' ? 1 : 0;
    return result.shape
      .map((_, dim): Link => ({ from: { tensor: source, dim: dim - added }, to: { tensor: result.id, dim } }))
      .filter(({ from, to }) => from.dim >= chunks && to.dim >= chunks);
  },
  loop: ({ initial, body, results }, tensors) =>
    results.flatMap(({ id }, position) => {
      const output = body.outputs[position]!.tensor;
      const rank = tensors.get(output)!.shape.length;
      if (position >= initial.length) return between(output, id, rank, 1);
      const state = body.inputs[position]!.tensor.id;
      return [initial[position]!, output, state].flatMap((tensor) => between(tensor, id, rank));
    }),
};

/** The dimensions that the node hands on: of an iterator that is reduced `reducedDimensions` tells. */
export function linksOf(node: Node, tensors: Tensors): readonly Link[] {
  return (rules[node.kind] as (node: Node, tensors: Tensors) => readonly Link[])(node, tensors);
}

/** The first `rank` dimensions; those of `to` come after `added` others. */
function between(from: TensorId, to: TensorId, rank: number, added = 0): readonly Link[] {
  return Array.from({ length: rank }, (_, dim) => ({
    from: { tensor: from, dim },
    to: { tensor: to, dim: dim + added },
  }));
}

/** Whether an iterator of the extent subscripts a whole dimension of a load by itself. */
export function isPlain(
  { subscripts, tensor }: Load,
  dim: number,
  extents: readonly number[],
  tensors: Tensors,
): boolean {
  const subscript = subscripts[dim]!;
  return subscript.op === 'iterator' && extents[subscript.axis] === tensors.get(tensor)!.shape[dim];
}

/** Of each iterator of a node, the dimensions that it subscripts by itself. */
function plainReads(node: Node, tensors: Tensors): readonly (readonly Dimension[])[] {
  const extents = extentsOf(node);
  const reads = extents.map((): Dimension[] => []);
  for (const load of nodeScalars(node).flatMap(loadsOf))
    for (const [dim, subscript] of load.subscripts.entries())
      if (subscript.op === 'iterator' && isPlain(load, dim, extents, tensors))
        reads[subscript.axis]!.push({ tensor: load.tensor, dim });
  return reads;
}

function outputLinks(node: Extract<Node, { kind: 'compute' | 'softmaxSum' }>, tensors: Tensors): readonly Link[] {
  const { id, shape } = node.result;
  return plainReads(node, tensors)
    .slice(0, shape.length)
    .flatMap((reads, dim) => reads.map((from): Link => ({ from, to: { tensor: id, dim } })));
}

/**
 * By reduced axis, the dimensions that it runs over, where one of them is cut. Elsewhere a device has all that
 * is reduced and leaves out padding by itself.
 */
export function reducedDimensions(
  node: ComputeNode,
  tensors: Tensors,
  placements: ReadonlyMap<TensorId, Placement>,
  mesh: Mesh,
): ReadonlyMap<number, readonly Dimension[]> {
  const { reduce, result } = node;
  if (reduce === undefined || partialOf[reduce.combiner] === undefined) return new Map();
  const isCut = ({ tensor, dim }: Dimension): boolean =>
    devicesAlong(mesh, placements.get(tensor)?.dims[dim] ?? []) > 1;
  const reads = [...plainReads(node, tensors).entries()];
  return new Map(reads.filter(([axis, dims]) => axis >= result.shape.length && dims.some(isCut)));
}
