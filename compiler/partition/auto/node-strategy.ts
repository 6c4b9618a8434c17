/** What the rule makes of a node whose operands live in given places. */
import type { Mesh, Placement } from '../../../dsl/placement/placement.ts';
import { devicesAlong } from '../../../dsl/placement/placement.ts';
import type { LoopId, LoopNode, Node, Tensor, TensorType } from '../../graph/graph.ts';
import { results } from '../../graph/graph.ts';
import { extentsOf } from '../../optimize/nodes.ts';
import { placeNode } from '../place.ts';

export interface NodeStrategy {
  readonly results: readonly Placement[];
  /** The part of the node's work that a device does: 1 where all do all of it. */
  readonly work: number;
}

export interface Surroundings {
  readonly mesh: Mesh;
  readonly loops: ReadonlyMap<LoopId, number>;
}

/** @param placements of `reads`, in order. undefined: the node cannot be computed so. */
export function nodeStrategy(
  node: Exclude<Node, LoopNode>,
  reads: readonly Tensor[],
  placements: readonly Placement[],
  { mesh, loops }: Surroundings,
): NodeStrategy | undefined {
  if (reads.some((tensor, at) => divided(tensor, placements[at]!, mesh) === 0)) return undefined;
  const placed = placeNode(node, {
    mesh,
    loops,
    tensors: new Map([...reads, ...results(node)].map((tensor) => [tensor.id, tensor])),
    placements: new Map(reads.map(({ id }, at) => [id, placements[at]!])),
  });
  if (placed === undefined) return undefined;
  const work =
    placed.local === undefined
      ? divided(results(node)[0]!, placed.results[0]!, mesh)
      : pointsOf(placed.local) / Math.max(1, pointsOf(node));
  return { results: placed.results, work };
}

function pointsOf(node: Node): number {
  return extentsOf(node).reduce((product, extent) => product * extent, 1);
}

/** The part of a tensor that a device holds: 0 where it does not come apart into equal blocks. */
export function divided(tensor: TensorType, { dims }: Placement, mesh: Mesh): number {
  let parts = 1;
  for (const [dim, list] of dims.entries()) {
    const devices = devicesAlong(mesh, list);
    if (tensor.shape[dim]! % devices !== 0) return 0;
    parts *= devices;
  }
  return 1 / parts;
}
