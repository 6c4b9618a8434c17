/** Who reads what in a graph. */
import type { Graph, GraphOutput, Node, Scalar, Tensor, TensorId } from './graph.ts';
import { results } from './graph.ts';
import { substituteLoads, tensorsOf } from './scalar.ts';

type ScalarsOf = { readonly [K in Node['kind']]: (node: Extract<Node, { kind: K }>) => readonly Scalar[] };

const scalarsOf: ScalarsOf = {
  compute: ({ body, reduce }) => (reduce?.finish === undefined ? [body] : [body, reduce.finish]),
  softmaxSum: ({ scoreBody, logit, visible, value }) =>
    visible === undefined ? [scoreBody, logit, value] : [scoreBody, logit, visible, value],
  route: () => [],
  order: () => [],
  prefix: () => [],
  loop: () => [],
  collective: () => [],
  block: () => [],
  exchange: () => [],
};

/** The scalar expressions of the node itself; a loop's are in the nodes of its body. */
export function nodeScalars(node: Node): readonly Scalar[] {
  return (scalarsOf[node.kind] as (node: Node) => readonly Scalar[])(node);
}

type MapScalars = {
  readonly [K in Node['kind']]: (
    node: Extract<Node, { kind: K }>,
    change: (scalar: Scalar) => Scalar,
  ) => Extract<Node, { kind: K }>;
};

const mapScalars: MapScalars = {
  compute: (node, change) => ({
    ...node,
    body: change(node.body),
    reduce: node.reduce && { ...node.reduce, finish: node.reduce.finish && change(node.reduce.finish) },
  }),
  softmaxSum: (node, change) => ({
    ...node,
    scoreBody: change(node.scoreBody),
    logit: change(node.logit),
    visible: node.visible && change(node.visible),
    value: change(node.value),
  }),
  route: (node) => node,
  order: (node) => node,
  prefix: (node) => node,
  loop: (node) => node,
  collective: (node) => node,
  block: (node) => node,
  exchange: (node) => node,
};

/** The node with `change` done to each of its scalar expressions. Nodes of a loop's body are left alone. */
export function mapNodeScalars<N extends Node>(node: N, change: (scalar: Scalar) => Scalar): N {
  return (mapScalars[node.kind] as unknown as (node: N, change: (scalar: Scalar) => Scalar) => N)(
    node,
    change,
  );
}

/**
 * The tensors that the node reads, each once. A loop reads its initial states and what its body reads from
 * outside.
 */
export function readsOf(node: Node): ReadonlySet<TensorId> {
  switch (node.kind) {
    case 'compute':
    case 'softmaxSum': {
      const read = new Set(nodeScalars(node).flatMap((scalar) => [...tensorsOf(scalar)]));
      if (node.kind === 'compute' && node.grouped !== undefined) {
        for (const tensor of [node.grouped.pick, node.grouped.order, node.grouped.offsets]) read.add(tensor);
      }
      return read;
    }
    case 'route':
      return new Set([node.pick]);
    case 'order':
    case 'prefix':
    case 'collective':
    case 'block':
    case 'exchange':
      return new Set([node.source]);
    case 'loop':
      return new Set([...node.initial, ...outsideReads(node.body)]);
  }
}

/** The node with other tensors in place of those that it reads, in loop bodies too. */
export function renameReads(node: Node, name: (tensor: TensorId) => TensorId): Node {
  const loading = mapNodeScalars(node, (scalar) =>
    substituteLoads(scalar, (load) => ({ ...load, tensor: name(load.tensor) })),
  );
  switch (loading.kind) {
    case 'compute': {
      const { grouped } = loading;
      if (grouped === undefined) return loading;
      const { pick, order, offsets } = grouped;
      return {
        ...loading,
        grouped: { ...grouped, pick: name(pick), order: name(order), offsets: name(offsets) },
      };
    }
    case 'softmaxSum':
      return loading;
    case 'route':
      return { ...loading, pick: name(loading.pick) };
    case 'order':
    case 'prefix':
    case 'collective':
    case 'block':
    case 'exchange':
      return { ...loading, source: name(loading.source) };
    case 'loop': {
      const { body } = loading;
      const nodes = body.nodes.map((inner) => renameReads(inner, name));
      const outputs = body.outputs.map((output) => ({ ...output, tensor: name(output.tensor) }));
      return { ...loading, initial: loading.initial.map(name), body: { ...body, nodes, outputs } };
    }
  }
}

/** The tensors that a loop's body reads from outside the loop, its passed-through outputs included. */
export function outsideReads(body: Graph): ReadonlySet<TensorId> {
  const inside = new Set(body.inputs.map((input) => input.tensor.id));
  for (const node of body.nodes) for (const tensor of results(node)) inside.add(tensor.id);
  const read = body.nodes.flatMap((node) => [...readsOf(node)]);
  const given = body.outputs.map((output) => output.tensor);
  return new Set([...read, ...given].filter((tensor) => !inside.has(tensor)));
}

/** A place where a tensor is read. */
export type Use =
  | { readonly kind: 'node'; readonly node: Node }
  | { readonly kind: 'output'; readonly output: GraphOutput };

/**
 * For each tensor that is read, the readers in order, nodes of loop bodies included, which stand before their
 * loop node. A tensor that a loop's body reads is used by the inner node and by the loop. Nobody's tensors
 * are absent.
 */
export function uses(graph: Graph): ReadonlyMap<TensorId, readonly Use[]> {
  const found = new Map<TensorId, Use[]>();
  const add = (tensor: TensorId, use: Use): void => {
    const list = found.get(tensor);
    if (list === undefined) found.set(tensor, [use]);
    else list.push(use);
  };
  const visit = (part: Graph): void => {
    for (const node of part.nodes) {
      if (node.kind === 'loop') visit(node.body);
      for (const tensor of readsOf(node)) add(tensor, { kind: 'node', node });
    }
    for (const output of part.outputs) add(output.tensor, { kind: 'output', output });
  };
  visit(graph);
  return found;
}

/** Every node, those of loop bodies before their loop. */
export function allNodes(graph: Graph): readonly Node[] {
  return graph.nodes.flatMap((node) => (node.kind === 'loop' ? [...allNodes(node.body), node] : [node]));
}

/** Every tensor of the graph and its loop bodies, by id: inputs, states and results. */
export function allTensors(graph: Graph): ReadonlyMap<TensorId, Tensor> {
  const tensors = new Map<TensorId, Tensor>();
  const visit = (part: Graph): void => {
    for (const { tensor } of part.inputs) tensors.set(tensor.id, tensor);
    for (const node of part.nodes) {
      if (node.kind === 'loop') visit(node.body);
      for (const tensor of results(node)) tensors.set(tensor.id, tensor);
    }
  };
  visit(graph);
  return tensors;
}
