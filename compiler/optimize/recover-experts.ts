/**
 * Contractions through a looked-up expert, `sum d: x[t, d] * weights[pick[t, k], f, d]`, are marked to run
 * grouped: a `route` node sorts the positions of `pick` by expert, so that each expert's weights are read
 * once for all its rows.
 */
import type { ComputeNode, Graph, Node, RouteNode, Scalar, Tensor, TensorId } from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import { iterator, type Load, loadsOf, mapScalar } from '../graph/scalar.ts';
import { contractionOf } from './contraction.ts';
import { greatestId, product } from './nodes.ts';

/** Fewer columns than a tile is wide, or fewer rows than share an expert, gain nothing by grouping. */
const leastColumns = 16;
const leastPositions = 8;

export function recoverExperts(graph: Graph): Graph {
  let next = greatestId(graph) + 1;
  const fresh = (name: string, extent: number): Tensor => ({
    id: next++,
    name,
    dtype: 'i32',
    shape: [extent],
  });
  return groupIn(graph, new Map(), fresh);
}

type Fresh = (name: string, extent: number) => Tensor;

function groupIn(graph: Graph, outer: ReadonlyMap<TensorId, Tensor>, fresh: Fresh): Graph {
  const tensors = new Map(outer);
  for (const { tensor } of graph.inputs) tensors.set(tensor.id, tensor);
  const routes = new Map<string, RouteNode>();
  const nodes = graph.nodes.flatMap((node): Node[] => {
    for (const tensor of results(node)) tensors.set(tensor.id, tensor);
    if (node.kind === 'route') routes.set(routeKey(node.pick, node.experts), node);
    if (node.kind === 'loop') return [{ ...node, body: groupIn(node.body, tensors, fresh) }];
    if (node.kind !== 'compute') return [node];
    const lookup = expertLookups(node, tensors).find((candidate) => isWorthGrouping(node, candidate));
    if (lookup === undefined) return [node];
    const key = routeKey(lookup.pick.id, lookup.experts);
    const known = routes.get(key);
    const route = known ?? routeOf(lookup.pick, lookup.experts, fresh);
    routes.set(key, route);
    return [...(known ? [] : [route]), marked(node, lookup, route)];
  });
  return { ...graph, nodes };
}

function routeKey(pick: TensorId, experts: number): string {
  return `${pick} to ${experts}`;
}

function routeOf(pick: Tensor, experts: number, fresh: Fresh): RouteNode {
  return {
    kind: 'route',
    pick: pick.id,
    experts,
    order: fresh(`${pick.name}.order`, product(pick.shape)),
    offsets: fresh(`${pick.name}.offsets`, experts + 1),
  };
}

function marked(
  node: ComputeNode,
  { body, axes, experts }: Lookup,
  { pick, order, offsets }: RouteNode,
): ComputeNode {
  return { ...node, body, grouped: { pick, order: order.id, offsets: offsets.id, experts, axes } };
}

/**
 * Whether the node is a contraction whose columns are the looked-up weights', with enough to do for each
 * expert.
 */
function isWorthGrouping(node: ComputeNode, lookup: Lookup): boolean {
  const { pick } = lookup;
  if (product(pick.shape) < leastPositions) return false;
  const placeholder: RouteNode = routeOf(pick, lookup.experts, (name) => ({
    id: -1,
    name,
    dtype: 'i32',
    shape: [],
  }));
  const contraction = contractionOf(marked(node, lookup, placeholder));
  if (contraction === undefined) return false;
  const { shape } = node.result;
  const isLookup = (scalar: Scalar) => scalar.op === 'load' && scalar.tensor === pick.id;
  const looksUp = loadsOf(contraction.right).some((load) => load.subscripts.some(isLookup));
  // Rows along which nothing is looked up would each be several.
  const others = contraction.rows.filter((axis) => shape[axis] !== 1 && !lookup.axes.includes(axis));
  const rowsAreThose = others.length === 0 && lookup.axes.every((axis) => contraction.rows.includes(axis));
  return looksUp && rowsAreThose && product(contraction.columns.map((axis) => shape[axis]!)) >= leastColumns;
}

interface Lookup {
  readonly pick: Tensor;
  readonly experts: number;
  readonly axes: readonly number[];
  /** The node's body, with the look-ups subscripted by plain iterators. */
  readonly body: Scalar;
}

/** The look-ups by output axes in a sum's body, one for each tensor that picks and number of experts. */
function expertLookups(node: ComputeNode, tensors: ReadonlyMap<TensorId, Tensor>): readonly Lookup[] {
  if (node.reduce?.combiner !== 'sum' || node.grouped !== undefined) return [];
  const { shape } = node.result;
  const found = loadsOf(node.body).flatMap((load) =>
    load.subscripts.flatMap((subscript, dimension) =>
      subscript.op === 'load'
        ? [{ lookup: subscript, experts: tensors.get(load.tensor)!.shape[dimension]! }]
        : [],
    ),
  );
  const byKey = new Map(
    found.map(({ lookup, experts }) => [routeKey(lookup.tensor, experts), { lookup, experts }]),
  );
  return [...byKey.values()].flatMap(({ lookup, experts }): Lookup[] => {
    const pick = tensors.get(lookup.tensor)!;
    const axes = lookupAxes(lookup, pick, shape);
    if (axes === undefined) return [];
    const plain: Scalar = { ...lookup, subscripts: axes.map(iterator) };
    const isPlain = (part: Scalar) =>
      part.op === 'load' &&
      part.tensor === pick.id &&
      part.subscripts.every((subscript, position) => isAt(subscript, axes[position]!, shape));
    return [{ pick, experts, axes, body: mapScalar(node.body, (part) => (isPlain(part) ? plain : part)) }];
  });
}

/** Whether the subscript is the axis; zero is, where the axis has one position. */
function isAt(subscript: Scalar, axis: number, shape: readonly number[]): boolean {
  if (subscript.op === 'iterator') return subscript.axis === axis;
  return subscript.op === 'constant' && subscript.value === 0 && shape[axis] === 1;
}

/** The distinct output axes that subscript `pick`, each as long as the dimension. */
function lookupAxes(lookup: Load, pick: Tensor, shape: readonly number[]): readonly number[] | undefined {
  const named = lookup.subscripts.map((subscript) =>
    subscript.op === 'iterator' ? subscript.axis : undefined,
  );
  const axes: number[] = [];
  for (const [dimension, axis] of named.entries()) {
    const isFree = (candidate: number) => !named.includes(candidate) && !axes.includes(candidate);
    const chosen =
      axis ??
      shape.findIndex(
        (extent, candidate) => extent === 1 && pick.shape[dimension] === 1 && isFree(candidate),
      );
    if (chosen < 0 || axes.includes(chosen) || shape[chosen] !== pick.shape[dimension]) return undefined;
    if (!isAt(lookup.subscripts[dimension]!, chosen, shape)) return undefined;
    axes.push(chosen);
  }
  return axes.length > 0 ? axes : undefined;
}
