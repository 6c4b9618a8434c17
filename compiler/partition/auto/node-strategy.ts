/** What the rule makes of a node whose operands live in given places. */
import type { Mesh, Placement } from '../../../dsl/placement/placement.ts';
import { axesOf, devicesAlong } from '../../../dsl/placement/placement.ts';
import type {
  Graph,
  LoopId,
  LoopNode,
  Node,
  PlacementChange,
  Tensor,
  TensorType,
} from '../../graph/graph.ts';
import { results } from '../../graph/graph.ts';
import { loadsOf } from '../../graph/scalar.ts';
import { allNodes, allTensors, nodeScalars } from '../../graph/uses.ts';
import { extentsOf, product } from '../../optimize/nodes.ts';
import { divides } from '../change.ts';
import { evenSizes } from '../even/even-sizes.ts';
import { changeWithoutIdle } from '../idle-axes.ts';
import { type LookUp, place, placeNode } from '../place.ts';
import { placementKey } from '../placement-graph.ts';
import { isProductIndex } from './product-index.ts';

export interface NodeStrategy {
  readonly results: readonly Placement[];
  /** The part of the node's work that a device does: 1 where all do all of it. */
  readonly work: number;
}

export interface Surroundings {
  readonly mesh: Mesh;
  readonly loops: ReadonlyMap<LoopId, number>;
  /** Whether what the mesh does not divide may be padded. */
  readonly uneven: boolean;
}

/** @param placements of `reads`, in order. undefined: the node cannot be computed so. */
export type NodeStrategyOf = (
  node: Exclude<Node, LoopNode>,
  reads: readonly Tensor[],
  placements: readonly Placement[],
  around: Surroundings,
) => NodeStrategy | undefined;

export const nodeStrategy: NodeStrategyOf = (node, reads, placements, around) => {
  const { mesh } = around;
  if (node.kind === 'collective' && !hasItsAxes(node.change, placements[0]!, mesh)) return undefined;
  const isEven = reads.every((tensor, at) => divides(tensor.shape, placements[at]!, mesh));
  if (isEven) return evenStrategy(node, reads, placements, around);
  return around.uneven ? unevenStrategy(node, reads, placements, around) : undefined;
};

/** With a memory, for the forms of one program on one mesh: most of their nodes are the same. */
export function rememberedNodeStrategies(): NodeStrategyOf {
  const known = new Map<Node, Map<string, NodeStrategy | undefined>>();
  return (node, reads, placements, around) => {
    const own = known.get(node) ?? new Map<string, NodeStrategy | undefined>();
    known.set(node, own);
    const key = `${around.uneven} ${placements.map(placementKey).join(';')}`;
    if (!own.has(key)) own.set(key, nodeStrategy(node, reads, placements, around));
    return own.get(key);
  };
}

/**
 * Whether there is something to collect: the rule takes a collective of nothing for nothing, the checker does
 * not.
 */
function hasItsAxes(change: PlacementChange, from: Placement, mesh: Mesh): boolean {
  const active = changeWithoutIdle(change, mesh);
  if (active === undefined || !('axes' in active) || active.kind === 'broadcast') return true;
  const used = axesOf(from);
  return active.axes.every((axis) => used.includes(axis));
}

function evenStrategy(
  node: Exclude<Node, LoopNode>,
  reads: readonly Tensor[],
  placements: readonly Placement[],
  { mesh, loops }: Surroundings,
): NodeStrategy | undefined {
  const placed = placeNode(node, {
    mesh,
    loops,
    tensors: new Map([...reads, ...results(node)].map((tensor) => [tensor.id, tensor])),
    placements: new Map(reads.map(({ id }, at) => [id, placements[at]!])),
  });
  if (placed === undefined || !isFollowed(node, reads, placements, placed.lookUps)) return undefined;
  return { results: placed.results, work: workOf(node, placed.results, placed.local, mesh) };
}

/**
 * Whether the checker follows each read of a cut dimension: by an index, or one into a product, that stays in
 * its block; or a look-up, by what is data. Elsewhere it asks for the dimension whole.
 */
function isFollowed(
  node: Node,
  reads: readonly Tensor[],
  placements: readonly Placement[],
  lookUps: readonly LookUp[],
): boolean {
  const extents = extentsOf(node);
  return nodeScalars(node)
    .flatMap(loadsOf)
    .every((load) => {
      const at = reads.findIndex(({ id }) => id === load.tensor);
      // Padding is taken off, or put on, in a tensor of its own, which is whole.
      if (at < 0) return true;
      return load.subscripts.every((subscript, dim) => {
        if (placements[at]!.dims[dim]!.length === 0) return true;
        if (loadsOf(subscript).length > 0) return true;
        const isOwn = !lookUps.some((other) => other.load === load && other.dim === dim);
        return isOwn && isProductIndex(subscript, extents, reads[at]!.shape[dim]!);
      });
    });
}

/** As a program of this node alone, padded. */
function unevenStrategy(
  node: Exclude<Node, LoopNode>,
  reads: readonly Tensor[],
  placements: readonly Placement[],
  { mesh, loops }: Surroundings,
): NodeStrategy | undefined {
  const graph = aloneInLoops(node, reads, loops);
  const inputs = new Map(graph.inputs.map(({ path }, at) => [path, placements[at]!]));
  const known = new Map(reads.map(({ id }, at) => [id, placements[at]!]));
  const outputs = new Map<string, Placement>();
  const even = evenSizes(graph, { mesh, placements: known, outputs });
  const placed = place(even.graph, { mesh, inputs, outputs });
  if (placed.kind === 'misplaced') return undefined;
  const found = placed.placed.placements;
  const padded = allNodes(even.graph).find((other) => results(other)[0]?.id === results(node)[0]!.id);
  if (padded === undefined || padded.kind === 'loop') throw new Error('padding lost a node');
  const tensors = allTensors(even.graph);
  const again = placeNode(padded, { mesh, loops, tensors, placements: found });
  const paddedReads = reads.map(({ id }) => tensors.get(id)!);
  if (again === undefined || !isFollowed(padded, paddedReads, placements, again.lookUps)) return undefined;
  const left = results(node).map(({ id }) => found.get(id)!);
  return { results: left, work: workOf(node, left, placed.placed.local.get(results(node)[0]!.id), mesh) };
}

/** The program of one node, in loops of as many steps as those around it. */
function aloneInLoops(node: Node, reads: readonly Tensor[], loops: ReadonlyMap<LoopId, number>): Graph {
  const nodes = [...loops].reduceRight<Node>((inner, [loop, count]) => {
    const body: Graph = { name: 'step', inputs: [], nodes: [inner], outputs: [] };
    return { kind: 'loop', loop, count, initial: [], body, results: [] };
  }, node);
  const inputs = reads.map((tensor, at) => ({ path: `${at}`, tensor }));
  return { name: 'alone', inputs, nodes: [nodes], outputs: [] };
}

function workOf(
  node: Exclude<Node, LoopNode>,
  left: readonly Placement[],
  local: Node | undefined,
  mesh: Mesh,
): number {
  return local === undefined
    ? heldPart(results(node)[0]!, left[0]!, mesh)
    : pointsOf(local) / Math.max(1, pointsOf(node));
}

function pointsOf(node: Node): number {
  return product(extentsOf(node));
}

/** The part of a tensor that a device holds, padding included. */
export function heldPart({ shape }: TensorType, { dims }: Placement, mesh: Mesh): number {
  let part = 1;
  for (const [dim, list] of dims.entries()) {
    const extent = shape[dim]!;
    const devices = devicesAlong(mesh, list);
    part *= extent === 0 ? 1 / devices : Math.ceil(extent / devices) / extent;
  }
  return part;
}

/** Whether a device would hold nothing but padding. */
export function isTooFine({ shape }: TensorType, { dims }: Placement, mesh: Mesh): boolean {
  return dims.some((list, dim) => list.length > 0 && devicesAlong(mesh, list) > shape[dim]!);
}
