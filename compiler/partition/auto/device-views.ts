/**
 * Which mesh axes are in the hands of the program: in a per-device block each device along them computes
 * something of its own, and they can divide nothing else there.
 */
import type { Graph, Node, TensorId } from '../../graph/graph.ts';
import { results } from '../../graph/graph.ts';
import { subexpressions } from '../../graph/scalar.ts';
import { nodeScalars, readsOf } from '../../graph/uses.ts';

/** Of the tensors that differ between devices: along which axes. */
export function deviceViews(graph: Graph): ReadonlyMap<TensorId, ReadonlySet<string>> {
  const views = new Map<TensorId, Set<string>>();
  const isNew = (tensor: TensorId, axes: Iterable<string>): boolean => {
    const known = views.get(tensor) ?? new Set();
    const before = known.size;
    for (const axis of axes) known.add(axis);
    if (known.size > 0) views.set(tensor, known);
    return known.size > before;
  };

  const visit = ({ nodes }: Graph): void => {
    for (const node of nodes) {
      if (node.kind === 'loop') visitLoop(node);
      else for (const { id } of results(node)) isNew(id, axesAfter(node));
    }
  };
  const visitLoop = ({ body, initial, results: finals }: Extract<Node, { kind: 'loop' }>): void => {
    for (const [position, { tensor }] of body.inputs.entries())
      isNew(tensor.id, views.get(initial[position]!) ?? []);
    for (let settled = false; !settled; ) {
      visit(body);
      settled = true;
      for (const [position, { tensor }] of body.inputs.entries())
        if (isNew(tensor.id, views.get(body.outputs[position]!.tensor) ?? [])) settled = false;
    }
    for (const [position, { tensor }] of body.outputs.entries())
      isNew(finals[position]!.id, views.get(tensor) ?? []);
  };
  const axesAfter = (node: Node): readonly string[] => {
    const read = [...readsOf(node)].flatMap((tensor) => [...(views.get(tensor) ?? [])]);
    const asked = nodeScalars(node)
      .flatMap(subexpressions)
      .flatMap((scalar) => (scalar.op === 'coordinate' ? [scalar.axis] : []));
    if (node.kind !== 'block') return [...read, ...asked];
    const cut = node.cuts.flat();
    return node.direction === 'enter' ? [...read, ...cut] : read.filter((axis) => !cut.includes(axis));
  };

  visit(graph);
  return views;
}
