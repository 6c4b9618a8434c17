/**
 * Passes over collectives are not trusted. What one gives is taken only if all tensors have places in it, and
 * the same where it had them before; if it means the same without its collectives; if it sends no more along
 * any axis; and if no part of a sum is rounded that was not.
 */
import { samePlacement } from '../../../dsl/placement/placement.ts';
import type { ComputeNode, Graph, Node, TensorId } from '../../graph/graph.ts';
import { isNarrow, subexpressions } from '../../graph/scalar.ts';
import { allNodes, nodeScalars } from '../../graph/uses.ts';
import { deadCode } from '../../optimize/dead-code.ts';
import { type PlacedGraph, place } from '../place.ts';
import { meansTheSame } from './meaning.ts';
import { isNoMore, sentBy } from './placed-traffic.ts';

export type Recheck =
  | { readonly kind: 'accepted'; readonly placed: PlacedGraph }
  | { readonly kind: 'rejected'; readonly reason: string };

export function recheck(before: PlacedGraph, graph: Graph): Recheck {
  const rejected = (reason: string): Recheck => ({ kind: 'rejected', reason });
  const { mesh, outputs } = before;
  const inputs = new Map(
    before.graph.inputs.map(({ path, tensor }) => [path, before.placements.get(tensor.id)!]),
  );
  const result = place(graph, { mesh, inputs, outputs });
  if (result.kind === 'misplaced') return rejected(result.faults[0]?.message ?? 'something has no place');
  const after = result.placed;
  const moved = movedTensor(before, after);
  if (moved !== undefined) return rejected(`%${moved} lives elsewhere`);
  // A loop is known by all that it carries: what nothing reads of it is left out of both.
  if (!meansTheSame(deadCode(before.graph), deadCode(graph))) return rejected('it means something else');
  const rounded = roundedPart(before, after);
  if (rounded !== undefined) return rejected(`a part of the sum %${rounded} is rounded`);
  if (!isNoMore(sentBy(after), sentBy(before))) return rejected('more is sent');
  return { kind: 'accepted', placed: after };
}

/** What is computed in both, and lives otherwise. */
function movedTensor(before: PlacedGraph, after: PlacedGraph): TensorId | undefined {
  const [old, now] = [before, after].map(({ graph }) => computedIn(graph)) as [Computed, Computed];
  return [...now.keys()].find(
    (tensor) =>
      old.has(tensor) && !samePlacement(before.placements.get(tensor)!, after.placements.get(tensor)!),
  );
}

/** A new node that stores narrow, or rounds, what is still to be combined. */
function roundedPart(before: PlacedGraph, after: PlacedGraph): TensorId | undefined {
  const old = computedIn(before.graph);
  return [...computedIn(after.graph)].find(
    ([tensor, node]) =>
      !old.has(tensor) && after.placements.get(tensor)!.pending.size > 0 && roundsSomething(node),
  )?.[0];
}

function roundsSomething(node: ComputeNode): boolean {
  return (
    isNarrow(node.result.dtype) ||
    nodeScalars(node)
      .flatMap(subexpressions)
      .some(({ op }) => op === 'round')
  );
}

type Computed = ReadonlyMap<TensorId, ComputeNode>;

function computedIn(graph: Graph): Computed {
  const nodes = allNodes(graph).filter(
    (node): node is Extract<Node, { kind: 'compute' }> => node.kind === 'compute',
  );
  return new Map(nodes.map((node) => [node.result.id, node]));
}
