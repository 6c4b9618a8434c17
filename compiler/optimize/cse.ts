/**
 * Common subexpressions of the graph: nodes that compute the same, modulo the order of their axes, become
 * one.
 */
import type { ComputeNode, Graph, LoopNode, Node, Scalar, Tensor, TensorId } from '../graph/graph.ts';
import { printChange } from '../graph/print.ts';
import {
  iterator,
  scalarKey,
  subexpressions,
  substituteIterators,
  substituteLoads,
} from '../graph/scalar.ts';
import { mapNodeScalars, renameReads, uses } from '../graph/uses.ts';

/** A tensor that stands for another; `axes[i]` is the axis of `tensor` that is axis i of the other. */
interface Stand {
  readonly tensor: TensorId;
  readonly axes: readonly number[];
}

interface Canonical {
  /** Equal for nodes that compute the same but for the order of output axes. */
  readonly key: string;
  /** The result's axes in canonical order. */
  readonly order: readonly number[];
}

const isIdentity = (axes: readonly number[]) => axes.every((axis, position) => axis === position);

export function commonSubexpressions(graph: Graph): Graph {
  return withoutRepeats(graph, readWhole(graph), new Map());
}

/**
 * Tensors that are read otherwise than by loads: as sources, states or outputs. Their axes must stay as they
 * are.
 */
function readWhole(graph: Graph): ReadonlySet<TensorId> {
  const whole = new Set<TensorId>();
  for (const [tensor, readers] of uses(graph)) {
    const isLoaded = readers.every(
      (use) =>
        use.kind === 'node' &&
        (use.node.kind === 'softmaxSum' || (use.node.kind === 'compute' && !use.node.grouped)),
    );
    if (!isLoaded) whole.add(tensor);
  }
  return whole;
}

function withoutRepeats(
  graph: Graph,
  whole: ReadonlySet<TensorId>,
  outer: ReadonlyMap<TensorId, Stand>,
): Graph {
  const stands = new Map(outer);
  const first = new Map<string, { readonly result: readonly Tensor[]; readonly order: readonly number[] }>();
  const nodes: Node[] = [];
  for (const original of graph.nodes) {
    const node = renamed(original, stands, whole);
    const canonical = canonicalForm(node);
    const known = canonical && first.get(canonical.key);
    if (canonical === undefined || known === undefined) {
      if (canonical !== undefined)
        first.set(canonical.key, { result: defined(node), order: canonical.order });
      nodes.push(node);
      continue;
    }
    const axes = canonical.order.map((_, axis) => known.order[canonical.order.indexOf(axis)]!);
    const repeats = defined(node);
    if (!isIdentity(axes) && repeats.some((tensor) => whole.has(tensor.id))) nodes.push(node);
    else
      for (const [position, tensor] of repeats.entries())
        stands.set(tensor.id, { tensor: known.result[position]!.id, axes });
  }
  const outputs = graph.outputs.map((output) => ({
    ...output,
    tensor: stands.get(output.tensor)?.tensor ?? output.tensor,
  }));
  return { ...graph, nodes, outputs };
}

function defined(node: Node): readonly Tensor[] {
  return node.kind === 'route'
    ? [node.order, node.offsets]
    : node.kind === 'loop'
      ? node.results
      : [node.result];
}

/** The node reading what stands for the tensors it read. */
function renamed(node: Node, stands: ReadonlyMap<TensorId, Stand>, whole: ReadonlySet<TensorId>): Node {
  const name = (tensor: TensorId) => stands.get(tensor)?.tensor ?? tensor;
  if (node.kind === 'loop')
    return { ...node, initial: node.initial.map(name), body: withoutRepeats(node.body, whole, stands) };
  const permuted = mapNodeScalars(node, (scalar) =>
    substituteLoads(scalar, (load) => {
      const axes = stands.get(load.tensor)?.axes;
      if (axes === undefined) return load;
      return { ...load, subscripts: load.subscripts.map((_, axis) => load.subscripts[axes.indexOf(axis)]!) };
    }),
  );
  return renameReads(permuted, name);
}

const canonicalForm = (node: Node): Canonical | undefined => forms[node.kind](node as never);

const forms: { readonly [K in Node['kind']]: (node: Extract<Node, { kind: K }>) => Canonical | undefined } = {
  compute: canonicalCompute,
  order: (node) => ({
    key: `order ${node.source} ${node.direction} ${node.result.shape}`,
    order: node.result.shape.map((_, axis) => axis),
  }),
  prefix: (node) => ({
    key: `prefix ${node.source} ${node.combiner} ${node.result.dtype}`,
    order: node.result.shape.map((_, axis) => axis),
  }),
  route: (node) => ({ key: `route ${node.pick} ${node.experts}`, order: [0] }),
  collective: (node) => ({
    key: `${printChange(node.change)} ${node.source}`,
    order: node.result.shape.map((_, axis) => axis),
  }),
  block: (node) => ({
    key: `${node.direction} ${node.cuts.join(';')} ${node.source}`,
    order: node.result.shape.map((_, axis) => axis),
  }),
  exchange: (node) => ({
    key: `${node.verb} ${node.combiner} ${node.axes} ${node.source}`,
    order: node.result.shape.map((_, axis) => axis),
  }),
  softmaxSum: () => undefined,
  loop: (_: LoopNode) => undefined,
};

/** Axes are numbered by first occurrence, those that do not occur last, by extent. */
function canonicalCompute(node: ComputeNode): Canonical {
  const { result, reduce, body } = node;
  const rank = result.shape.length;
  const seen = [
    ...new Set([body, reduce?.finish].flatMap((scalar) => (scalar ? iteratorsInOrder(scalar) : []))),
  ];
  const idle = result.shape
    .map((_, axis) => axis)
    .filter((axis) => !seen.includes(axis))
    .sort((left, right) => result.shape[left]! - result.shape[right]! || left - right);
  const order = [...seen.filter((axis) => axis < rank), ...idle];
  const extents = reduce?.extents ?? [];
  // argmax and argmin tell positions by the order of the reduced axes; the others do not.
  const isOrdered = reduce?.combiner === 'argmax' || reduce?.combiner === 'argmin';
  const own = extents.map((_, position) => rank + position);
  const reducedOrder = isOrdered
    ? own
    : [...seen.filter((axis) => axis >= rank), ...own.filter((axis) => !seen.includes(axis))];
  const number = new Map([...order, ...reducedOrder].map((axis, position) => [axis, position]));
  const renumber = (scalar: Scalar) => substituteIterators(scalar, (axis) => iterator(number.get(axis)!));
  const parts = [
    result.dtype,
    order.map((axis) => result.shape[axis]),
    reduce?.combiner ?? 'map',
    reducedOrder.map((axis) => extents[axis - rank]),
    scalarKey(renumber(body)),
    reduce?.finish ? scalarKey(renumber(reduce.finish)) : '',
    node.grouped ? JSON.stringify([node.grouped, order]) : '',
  ];
  return { key: parts.join(' | '), order };
}

function iteratorsInOrder(scalar: Scalar): number[] {
  return subexpressions(scalar).flatMap((part) => (part.op === 'iterator' ? [part.axis] : []));
}
