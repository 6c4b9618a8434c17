/**
 * What passes ask of nodes beside `graph/uses.ts`: what bounds their axes, free ids, and going into loops.
 */
import type {
  ComputeNode,
  Graph,
  GroupedLookup,
  LoopId,
  Node,
  Scalar,
  TensorId,
  TensorType,
} from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import { loadsOf } from '../graph/scalar.ts';
import type { Bounds } from './expressions/ranges.ts';

/** Extents of all the axes of the node's expressions. */
export function extentsOf(node: Node): readonly number[] {
  switch (node.kind) {
    case 'compute':
      return [...node.result.shape, ...(node.reduce?.extents ?? [])];
    case 'softmaxSum':
      return [...node.result.shape, node.extent, ...node.scoreExtents];
    default:
      return [];
  }
}

/** What bounds the axes and counters in the node's expressions. */
export function boundsOf(node: Node, loops: ReadonlyMap<LoopId, number>): Bounds {
  const kept = node.kind === 'compute' ? (node.grouped?.axes ?? []) : [];
  // A grouped look-up is known by its iterators: they stay, also where an axis has one position only.
  const extents = extentsOf(node).map((extent, axis) => (kept.includes(axis) ? Math.max(2, extent) : extent));
  return { extents, loops };
}

/** Whether what is left of a grouped node's body still looks one of the experts up by what the node picks. */
export function looksUpExpert(
  { body }: Pick<ComputeNode, 'body'>,
  { pick, experts, axes }: GroupedLookup,
  tensors: ReadonlyMap<TensorId, TensorType>,
): boolean {
  const isPick = (subscript: Scalar) =>
    subscript.op === 'load' &&
    subscript.tensor === pick &&
    subscript.subscripts.every((own, at) => own.op === 'iterator' && own.axis === axes[at]);
  return loadsOf(body).some(({ tensor, subscripts }) =>
    subscripts.some((own, dim) => isPick(own) && tensors.get(tensor)?.shape[dim] === experts),
  );
}

/** Inputs of the graph and results of its nodes, not those inside loops. */
function definedIn(graph: Graph): readonly TensorId[] {
  return [
    ...graph.inputs.map((input) => input.tensor.id),
    ...graph.nodes.flatMap((node) => results(node).map((tensor) => tensor.id)),
  ];
}

/** The greatest tensor id of the graph and its loops: those after it are free. */
export function greatestId(graph: Graph): number {
  let greatest = Math.max(-1, ...definedIn(graph));
  for (const node of graph.nodes)
    if (node.kind === 'loop') greatest = Math.max(greatest, greatestId(node.body));
  return greatest;
}

/** Applies a pass of node lists inside every loop first, then to the graph itself. */
export function inLoopsFirst(graph: Graph, pass: (graph: Graph, outer: readonly LoopStep[]) => Graph): Graph {
  return visit(graph, []);

  function visit(inner: Graph, outer: readonly LoopStep[]): Graph {
    const nodes = inner.nodes.map((node): Node => {
      if (node.kind !== 'loop') return node;
      const body = visit(node.body, [...outer, { loop: node.loop, count: node.count }]);
      return body === node.body ? node : { ...node, body };
    });
    const changed = nodes.some((node, position) => node !== inner.nodes[position]);
    return pass(changed ? { ...inner, nodes } : inner, outer);
  }
}

/** A loop around a graph, for the ranges of its counter. */
export interface LoopStep {
  readonly loop: LoopId;
  readonly count: number;
}

/** The counts of the loops around a graph. */
export function loopCounts(outer: readonly LoopStep[]): ReadonlyMap<LoopId, number> {
  return new Map(outer.map(({ loop, count }) => [loop, count]));
}

export function product(extents: readonly number[]): number {
  return extents.reduce((size, extent) => size * extent, 1);
}

/**
 * How often the node evaluates one of its expressions: once for each position of the axes it is evaluated at.
 */
export function evaluationsOf(node: Node, scalar: Scalar): number {
  const rank = node.kind === 'compute' || node.kind === 'softmaxSum' ? node.result.shape.length : 0;
  const extents = extentsOf(node);
  const isOf = (part: Scalar | undefined) => part === scalar;
  if (node.kind === 'compute') return product(isOf(node.body) ? extents : extents.slice(0, rank));
  if (node.kind !== 'softmaxSum') return 0;
  const streamed = extents.slice(0, rank + 1);
  if (isOf(node.value)) return product(streamed);
  // The score of a query and a key is computed once, whatever the number of value axes.
  const scored = (isOf(node.scoreBody) ? extents : streamed).filter(
    (_, axis) => !node.valueAxes.includes(axis),
  );
  return product(scored);
}
