/**
 * Takes collectives that move the same in every step out of loops, with the comprehensions that make what
 * they move. What depends on the step, as the gather of one layer's parameters, stays where it is; and so
 * does what would have to be held through the loop beyond a bound.
 */

import { tensorBytes } from '../../graph/cost.ts';
import type { CollectiveNode, Graph, LoopNode, Node, TensorId } from '../../graph/graph.ts';
import { results } from '../../graph/graph.ts';
import { countersOf } from '../../graph/scalar.ts';
import { nodeScalars, readsOf } from '../../graph/uses.ts';
import { collectiveSteps } from '../collective-steps.ts';
import { localTensor } from '../local-blocks.ts';
import type { PlacedGraph } from '../place.ts';
import { mapLevels } from './mesh-reads.ts';
import type { CollectiveOptions } from './options.ts';
import { sentInSteps } from './placed-traffic.ts';

export function hoistInvariant(placed: PlacedGraph, { hoistedBytes }: CollectiveOptions): Graph {
  return mapLevels(placed.graph, ({ graph }) => ({
    ...graph,
    nodes: graph.nodes.flatMap((node) =>
      node.kind === 'loop' ? lifted(node, placed, hoistedBytes) : [node],
    ),
  }));
}

/** What comes out of the loop, and the loop. */
function lifted(loop: LoopNode, placed: PlacedGraph, hoistedBytes: number): readonly Node[] {
  // A step that is not taken sends nothing, and one that is taken once gains nothing.
  if (loop.count < 2) return [loop];
  const invariant = invariantNodes(loop);
  const moved = new Set<Node>();
  let bytes = 0;
  for (const node of loop.body.nodes) {
    if (node.kind !== 'collective' || !invariant.has(node) || !sends(node, placed)) continue;
    const chain = chainOf(node, loop.body.nodes).filter((each) => !moved.has(each));
    const more = heldBytes(chain, placed);
    if (bytes + more > hoistedBytes) continue;
    bytes += more;
    for (const each of chain) moved.add(each);
  }
  if (moved.size === 0) return [loop];
  const outside = loop.body.nodes.filter((node) => moved.has(node));
  const inside = loop.body.nodes.filter((node) => !moved.has(node));
  return [...outside, { ...loop, body: { ...loop.body, nodes: inside } }];
}

/** Nodes that compute the same in every step. */
function invariantNodes({ loop, body }: LoopNode): ReadonlySet<Node> {
  const varying = new Set<TensorId>(body.inputs.map(({ tensor }) => tensor.id));
  const invariant = new Set<Node>();
  for (const node of body.nodes) {
    const isVarying =
      (node.kind !== 'compute' && node.kind !== 'collective') ||
      [...readsOf(node)].some((tensor) => varying.has(tensor)) ||
      nodeScalars(node).some((scalar) => countersOf(scalar).has(loop));
    if (isVarying) for (const { id } of results(node)) varying.add(id);
    else invariant.add(node);
  }
  return invariant;
}

/** The node and those of the body that it needs, in order. */
function chainOf(node: Node, body: readonly Node[]): readonly Node[] {
  const needed = new Set<TensorId>(results(node).map(({ id }) => id));
  const chain: Node[] = [];
  for (const each of body.toReversed()) {
    if (!results(each).some(({ id }) => needed.has(id))) continue;
    chain.unshift(each);
    for (const tensor of readsOf(each)) needed.add(tensor);
  }
  return chain;
}

/** By a device, for the results. */
function heldBytes(nodes: readonly Node[], { placements, mesh }: PlacedGraph): number {
  return nodes.flatMap(results).reduce((sum, result) => {
    return sum + tensorBytes(localTensor(result, placements.get(result.id)!, mesh));
  }, 0);
}

function sends({ source, result, change }: CollectiveNode, { placements, mesh }: PlacedGraph): boolean {
  const found = placements.get(source)!;
  const { from, steps } = collectiveSteps(change, found, placements.get(result.id)!, result, mesh);
  return sentInSteps(steps, from, result, mesh).total > 0;
}
