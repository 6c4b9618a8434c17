/**
 * A pick that is an expression, `w[clamp_index[E](a[t] + 1)]` or `w[pick[t, 0]]`, as a tensor of its own, so
 * that tokens can be put in order by it.
 */
import type { ComputeNode, Graph, Node, Scalar, Tensor, TensorId } from '../../graph/graph.ts';
import {
  iterator,
  iteratorsOf,
  load,
  loadsOf,
  mapScalar,
  scalarKey,
  substituteIterators,
} from '../../graph/scalar.ts';
import { mapNodeScalars } from '../../graph/uses.ts';
import type { Places } from './routing.ts';
import { map, type NewTensor } from './slots.ts';

/** Undefined where every look-up in a dimension that is cut is by a tensor already. */
export function withNamedPicks(graph: Graph, places: Places, newTensor: NewTensor): Graph | undefined {
  const named = new Map<string, Tensor>();
  const nodes = graph.nodes.flatMap((node): readonly Node[] => {
    if (node.kind === 'loop') {
      const body = withNamedPicks(node.body, places, newTensor);
      return [body === undefined ? node : { ...node, body }];
    }
    const picks = node.kind === 'compute' ? unnamed(node, places) : [];
    if (node.kind !== 'compute' || picks.length === 0) return [node];
    const before: Node[] = [];
    const names = new Map<string, Scalar>();
    for (const pick of picks) {
      const axes = [...iteratorsOf(pick)];
      const extents = axes.map((axis) => node.result.shape[axis]!);
      const body = substituteIterators(pick, (axis) => iterator(axes.indexOf(axis)));
      const key = `${scalarKey(body)} over ${extents}`;
      const known = named.get(key);
      const tensor = known ?? newTensor('pick', 'i32', extents);
      if (known === undefined) before.push(map(tensor, body));
      named.set(key, tensor);
      names.set(scalarKey(pick), load(tensor, axes.map(iterator)));
    }
    const change = (scalar: Scalar) => mapScalar(scalar, (part) => names.get(scalarKey(part)) ?? part);
    return [...before, mapNodeScalars(node, change)];
  });
  const isChanged = nodes.length > graph.nodes.length || nodes.some((node, at) => node !== graph.nodes[at]);
  return isChanged ? { ...graph, nodes } : undefined;
}

/** The expressions that look something up in a dimension that is cut, and are no plain tensor. */
function unnamed({ body, result }: ComputeNode, { placement }: Places): readonly Scalar[] {
  const isCut = (tensor: TensorId, dim: number) => (placement(tensor)?.dims[dim] ?? []).length > 0;
  const picks = loadsOf(body).flatMap(({ subscripts, tensor }) =>
    subscripts.filter((subscript, dim) => isCut(tensor, dim) && loadsOf(subscript).length > 0),
  );
  return picks.filter((pick) => {
    const isPlain = pick.op === 'load' && pick.subscripts.every(({ op }) => op === 'iterator');
    return !isPlain && [...iteratorsOf(pick)].every((axis) => axis < result.shape.length);
  });
}
