/**
 * What is computed by looking weights up for each token, where tokens and weights are cut over the same axes:
 * `w[pick[t, k], f, d]` with t and the experts on one axis. A device has the token and another the expert, so
 * that no device can compute it, until the tokens are sent to where their experts are.
 */
import {
  type AxisList,
  devicesAlong,
  isPrefix,
  type Mesh,
  type Placement,
  sameList,
} from '../../../dsl/placement/placement.ts';
import { type ComputeNode, type Node, results, type Tensor, type TensorId } from '../../graph/graph.ts';
import { type Load, loadsOf, operands, subexpressions } from '../../graph/scalar.ts';
import { nodeScalars, readsOf } from '../../graph/uses.ts';
import { blockOf } from '../local-blocks.ts';

/** The tensor that picks experts, and the part that each of its dimensions plays. */
export interface Routing {
  /** i32, of values below `experts`. */
  readonly pick: Tensor;
  readonly experts: number;
  /** The axes that cut the experts. */
  readonly over: AxisList;
  /** The dimension of `pick` whose axes end with `over`. */
  readonly token: number;
  /** How many blocks of tokens there are, and how long each is. */
  readonly sources: number;
  readonly block: number;
  /** Dimensions that are cut over other axes: each position has slots of its own. */
  readonly batch: readonly number[];
  /** All others, the token among them: those of one block stand in one queue. */
  readonly queued: readonly number[];
}

/** A node that is computed for each pick: `axes` are its output axes for the dimensions of `pick`. */
export interface RoutedNode {
  readonly node: ComputeNode;
  readonly axes: readonly number[];
}

export interface RoutedRegion {
  readonly routing: Routing;
  /** In order; the first looks weights up, and so does at least one after each of the others. */
  readonly nodes: readonly RoutedNode[];
}

/** Where tensors live, as far as it is known. */
export interface Places {
  readonly mesh: Mesh;
  readonly tensor: (id: TensorId) => Tensor;
  readonly placement: (id: TensorId) => Placement | undefined;
}

/** The first region in nodes of one graph or of the body of one loop. */
export function findRegion(nodes: readonly Node[], places: Places): RoutedRegion | undefined {
  for (const node of nodes) {
    if (node.kind !== 'compute') continue;
    for (const load of loadsOf(node.body)) {
      const routing = routingOf(load, places);
      const region = routing && regionFrom(nodes, routing, places);
      if (region !== undefined) return region;
    }
  }
  return undefined;
}

/** How the load's tensor is looked up, if that is by tokens which are cut as it is. */
function routingOf(load: Load, { mesh, placement, tensor }: Places): Routing | undefined {
  const lists = placement(load.tensor)?.dims ?? [];
  for (const [dim, over] of lists.entries()) {
    const subscript = load.subscripts[dim]!;
    if (over.length === 0 || subscript.op !== 'load') continue;
    const picked = placement(subscript.tensor);
    const token = picked?.dims.findIndex((list) => endsWith(list, over)) ?? -1;
    if (picked === undefined || token < 0 || picked.pending.size > 0) continue;
    const pick = tensor(subscript.tensor);
    const positions = [...pick.shape.keys()];
    const isBatch = (position: number) => position !== token && picked.dims[position]!.length > 0;
    return {
      pick,
      experts: tensor(load.tensor).shape[dim]!,
      over,
      token,
      sources: devicesAlong(mesh, picked.dims[token]!),
      block: blockOf(pick.shape[token]!, picked.dims[token]!, mesh),
      batch: positions.filter(isBatch),
      queued: positions.filter((position) => !isBatch(position)),
    };
  }
  return undefined;
}

function endsWith(list: AxisList, end: AxisList): boolean {
  return isPrefix(end.toReversed(), list.toReversed());
}

/**
 * All look-ups by this pick, and what is between them. What depends on a look-up by way of a node that is not
 * computed for each pick is left for the next region.
 */
function regionFrom(nodes: readonly Node[], routing: Routing, places: Places): RoutedRegion | undefined {
  const routed = new Map<TensorId, RoutedNode>();
  const later = new Set<TensorId>();
  const seeds: TensorId[] = [];
  for (const node of nodes) {
    const read = [...readsOf(node)];
    const isLater = read.some((tensor) => later.has(tensor));
    const isSeed = node.kind === 'compute' && looksUp(node, routing, places);
    if (!isLater && !isSeed && !read.some((tensor) => routed.has(tensor))) continue;
    const axes = node.kind === 'compute' && !isLater ? routedAxes(node, routing, routed, places) : undefined;
    if (node.kind === 'compute' && axes !== undefined) {
      routed.set(node.result.id, { node, axes });
      if (isSeed) seeds.push(node.result.id);
    } else for (const { id } of results(node)) later.add(id);
  }
  const wanted = new Set(seeds);
  for (const { node } of [...routed.values()].toReversed())
    if (wanted.has(node.result.id)) for (const tensor of readsOf(node)) wanted.add(tensor);
  const found = [...routed.values()].filter(({ node }) => wanted.has(node.result.id));
  const isNetwork = found.some(
    (each) => seeds.includes(each.node.result.id) && reducesRow(each, routing, routed),
  );
  return isNetwork ? { routing, nodes: found } : undefined;
}

/**
 * Whether a row of the token meets the weights in a reduction. What only reads a row of a table is not worth
 * sending tokens for: the rows of a vocabulary would each have slots.
 */
function reducesRow(
  { axes, node }: RoutedNode,
  { pick, queued }: Routing,
  routed: ReadonlyMap<TensorId, RoutedNode>,
): boolean {
  if (node.reduce === undefined) return false;
  const positions = queued.map((dim) => axes[dim]);
  return loadsOf(node.body).some(
    ({ subscripts, tensor }) =>
      routed.has(tensor) ||
      (tensor !== pick.id &&
        subscripts.some((each) => each.op === 'iterator' && positions.includes(each.axis))),
  );
}

function looksUp(node: ComputeNode, { pick, over, experts }: Routing, places: Places): boolean {
  return loadsOf(node.body).some((load) =>
    load.subscripts.some((subscript, dim) => {
      if (subscript.op !== 'load' || subscript.tensor !== pick.id) return false;
      const list = places.placement(load.tensor)?.dims[dim] ?? [];
      return sameList(list, over) && places.tensor(load.tensor).shape[dim] === experts;
    }),
  );
}

/**
 * The output axes of the node that stand for the dimensions of `pick`. Undefined where they are not the same
 * for all that is read, or where a token's position is used otherwise than to read a row of its own.
 */
function routedAxes(
  node: ComputeNode,
  { pick, queued }: Routing,
  routed: ReadonlyMap<TensorId, RoutedNode>,
  places: Places,
): readonly number[] | undefined {
  const scalars = nodeScalars(node);
  const axesIn = ({ subscripts, tensor }: Load): readonly (number | undefined)[] | undefined => {
    const read = tensor === pick.id ? [...pick.shape.keys()] : routed.get(tensor)?.axes;
    return read?.map((dim) => {
      const subscript = subscripts[dim]!;
      return subscript.op === 'iterator' ? subscript.axis : undefined;
    });
  };
  const [first, ...others] = scalars.flatMap(loadsOf).flatMap((load) => {
    const axes = axesIn(load);
    return axes === undefined ? [] : [axes];
  });
  const axes = first?.filter((axis) => axis !== undefined);
  if (axes === undefined || axes.length < pick.shape.length || new Set(axes).size < axes.length)
    return undefined;
  if (others.some((other) => other.some((axis, dim) => axis !== axes[dim]))) return undefined;
  if (axes.some((axis, dim) => node.result.shape[axis] !== pick.shape[dim])) return undefined;
  const gone = new Set(queued.map((dim) => axes[dim]!));
  const readsRows = scalars.flatMap(subexpressions).every((scalar) => {
    const direct = operands(scalar).map((operand) => (operand.op === 'iterator' ? operand.axis : -1));
    const own = direct.filter((axis) => gone.has(axis));
    if (own.length === 0) return true;
    if (scalar.op !== 'load' || new Set(own).size < own.length) return false;
    const { shape } = places.tensor(scalar.tensor);
    return direct.every((axis, dim) => !gone.has(axis) || shape[dim] === node.result.shape[axis]);
  });
  const isPosition = scalars.some((scalar) => scalar.op === 'iterator' && gone.has(scalar.axis));
  return readsRows && !isPosition && node.grouped === undefined ? axes : undefined;
}
