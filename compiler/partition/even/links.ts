/**
 * Which dimensions of tensors run over one index: those that an iterator subscripts by itself, and those that
 * a node hands on as they are. They are padded together, so that what was read in place still is.
 */
import { devicesAlong, type Mesh, type Placement } from '../../../dsl/placement/placement.ts';
import type {
  ComputeNode,
  Node,
  NodeKind,
  Scalar,
  SoftmaxSumNode,
  Tensor,
  TensorId,
} from '../../graph/graph.ts';
import { type Load, loadsOf } from '../../graph/scalar.ts';
import { nodeScalars } from '../../graph/uses.ts';
import { extentsOf } from '../../optimize/nodes.ts';
import { termsOf } from '../iterators.ts';
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

/** The dimensions that one iterator of a node runs over. */
interface Reads {
  /** Subscripted by it alone. */
  readonly plain: readonly Dimension[];
  /**
   * It is the major part of the subscript, or the subscript its major part: `i * c + j`, `i // c`. The one
   * extent is a multiple of the other, and stays so, that what was local is.
   */
  readonly inParts: readonly Dimension[];
}

/** Of each iterator. */
function readsOf(node: Node, tensors: Tensors): readonly Reads[] {
  const extents = extentsOf(node);
  const reads = extents.map(() => ({ plain: [] as Dimension[], inParts: [] as Dimension[] }));
  for (const load of nodeScalars(node).flatMap(loadsOf))
    for (const [dim, subscript] of load.subscripts.entries()) {
      const read = { tensor: load.tensor, dim };
      const extent = tensors.get(load.tensor)!.shape[dim]!;
      if (subscript.op === 'iterator' && extents[subscript.axis] === extent)
        reads[subscript.axis]!.plain.push(read);
      else {
        const axis = majorPart(subscript, extent, extents);
        if (axis !== undefined) reads[axis]!.inParts.push(read);
      }
    }
  return reads;
}

/** The iterator that goes once over a dimension of the extent, in steps of many positions or many to one. */
function majorPart(subscript: Scalar, extent: number, extents: readonly number[]): number | undefined {
  if (subscript.op !== 'apply') return undefined;
  const [first, second] = subscript.operands;
  if (subscript.function === 'floordiv') {
    if (first?.op !== 'iterator' || second?.op !== 'constant') return undefined;
    return extents[first.axis] === second.value * extent ? first.axis : undefined;
  }
  const [major] = termsOf(subscript).toSorted((left, right) => right.factor - left.factor);
  return major !== undefined && extents[major.axis]! * major.factor === extent ? major.axis : undefined;
}

function outputLinks(node: ComputeNode | SoftmaxSumNode, tensors: Tensors): readonly Link[] {
  const { id, shape } = node.result;
  return readsOf(node, tensors)
    .slice(0, shape.length)
    .flatMap(({ plain }, dim) => plain.map((from): Link => ({ from, to: { tensor: id, dim } })));
}

/** Tells which dimensions are cut. */
export function cutDimensions(
  placements: ReadonlyMap<TensorId, Placement>,
  mesh: Mesh,
): (dimension: Dimension) => boolean {
  return ({ tensor, dim }) => devicesAlong(mesh, placements.get(tensor)?.dims[dim] ?? []) > 1;
}

/** The cut dimensions of which an output axis is the major part, or the other way round. */
export function partLinks(
  node: Node,
  tensors: Tensors,
  isCut: (dimension: Dimension) => boolean,
): readonly Link[] {
  if (node.kind !== 'compute' && node.kind !== 'softmaxSum') return [];
  const { id, shape } = node.result;
  return readsOf(node, tensors)
    .slice(0, shape.length)
    .flatMap(({ inParts }, dim) =>
      inParts.filter(isCut).map((from): Link => ({ from, to: { tensor: id, dim } })),
    );
}

/**
 * By reduced axis, the dimensions that it runs over, where one of them is cut. Elsewhere a device has all
 * that is reduced and leaves out padding by itself.
 */
export function reducedDimensions(
  { reduce, result, ...node }: ComputeNode,
  tensors: Tensors,
  isCut: (dimension: Dimension) => boolean,
): ReadonlyMap<number, readonly Dimension[]> {
  if (reduce === undefined || partialOf[reduce.combiner] === undefined) return new Map();
  const reads = readsOf({ ...node, reduce, result }, tensors);
  const over = reads.map(({ plain, inParts }) => [...plain, ...inParts.filter(isCut)]);
  return new Map(
    [...over.entries()].filter(([axis, dims]) => axis >= result.shape.length && dims.some(isCut)),
  );
}
