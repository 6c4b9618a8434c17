/**
 * Experts that are looked up by token, `w[pick[t, k], …]`, where tokens and experts are cut over the same
 * axes, as a dispatch: the rows of the tokens go into slots of their experts, an all-to-all takes them to the
 * devices that have these, what was computed for each pick is computed for each slot, and another all-to-all
 * and a look-up bring the results back (GShard, Lepikhin et al. 2020). It is the same value in other index
 * variables. Nothing here is taken on trust: the graph that comes out is placed like any other.
 */
import {
  type AxisList,
  devicesAlong,
  type Mesh,
  type Placement,
  wholePlacement,
} from '../../../dsl/placement/placement.ts';
import { type Graph, type Node, results, type TensorId } from '../../graph/graph.ts';
import { loadsOf } from '../../graph/scalar.ts';
import { allNodes, allTensors, nodeScalars } from '../../graph/uses.ts';
import { assertWellFormed } from '../../graph/well-formed.ts';
import { greatestId } from '../../optimize/nodes.ts';
import { place } from '../place.ts';
import { dispatched } from './dispatched.ts';
import { withNamedPicks } from './named-picks.ts';
import { findRegion, type Places, type Routing } from './routing.ts';
import { type NewTensor, picksInBlock } from './slots.ts';

export interface DispatchOptions {
  /**
   * Slots of an expert for one block of tokens, as a multiple of the picks that it gets when all get as many.
   * What finds no slot gives 0. Undefined: a slot for all that may come.
   */
  readonly capacityFactor: number | undefined;
}

export interface DispatchOverOptions extends DispatchOptions {
  /** Whether what makes the tensor may look up otherwise; all may where nothing is said. */
  readonly isOpen?: (tensor: TensorId) => boolean;
}

/**
 * The graph with every such look-up dispatched, at the top and in loops; the same object where there is none
 * to dispatch.
 * Inputs live as given, by path; those that are not named are whole.
 */
export function deriveDispatch(
  graph: Graph,
  inputs: ReadonlyMap<string, Placement>,
  mesh: Mesh,
  options: DispatchOptions,
): Graph {
  let current = graph;
  // What depends on a region has its place only once that one is taken care of.
  for (;;) {
    const found = place(current, { mesh, inputs, outputs: new Map() });
    if (found.kind === 'placed') return current;
    const places = placesIn(current, mesh, found.placements);
    const next =
      withDispatch(current, current, places, options) ?? withNamedPicks(current, places, creator(current));
    if (next === undefined) return current;
    assertWellFormed(next, 'deriving a dispatch');
    current = next;
  }
}

/**
 * The graph with all experts that are picked by order dispatched over the axes, wherever anything lives; the
 * same object where there are none, or the axes do not divide them and their tokens.
 */
export function dispatchOver(
  graph: Graph,
  over: AxisList,
  mesh: Mesh,
  { isOpen = () => true, ...options }: DispatchOverOptions,
): Graph {
  const cuts = asIfCut(graph, over, mesh, isOpen);
  let current = graph;
  for (;;) {
    const tensors = allTensors(current);
    const places: Places = {
      mesh,
      tensor: (id) => tensors.get(id)!,
      // What a dispatch makes is no region again.
      placement: (id) => cuts.get(id) ?? wholePlacement(tensors.get(id)!.shape.length),
    };
    const next = withDispatch(current, current, places, options);
    if (next === undefined) return current;
    assertWellFormed(next, 'dispatching');
    current = next;
  }
}

/** Picks as if their tokens were cut over the axes, and what they pick from as if its experts were. */
function asIfCut(
  graph: Graph,
  over: AxisList,
  mesh: Mesh,
  isOpen: (tensor: TensorId) => boolean,
): ReadonlyMap<TensorId, Placement> {
  const tensors = allTensors(graph);
  const nodes = allNodes(graph);
  const devices = devicesAlong(mesh, over);
  const cuts = new Map<TensorId, Placement>();
  const cut = (id: TensorId, dim: number): void => {
    const { shape } = tensors.get(id)!;
    const isEven = shape[dim]! > 0 && shape[dim]! % devices === 0;
    if (isEven) cuts.set(id, { dims: shape.map((_, at) => (at === dim ? over : [])), pending: new Map() });
  };
  const rankOf = (id: TensorId): number => tensors.get(id)!.shape.length;
  const open = nodes.filter((node) => results(node).every(({ id }) => isOpen(id)));
  for (const load of open.flatMap(nodeScalars).flatMap(loadsOf))
    for (const [dim, subscript] of load.subscripts.entries()) {
      if (subscript.op !== 'load' || !isOrder(subscript.tensor, nodes)) continue;
      if (rankOf(load.tensor) < 3 || rankOf(subscript.tensor) < 2) continue;
      cut(load.tensor, dim);
      cut(subscript.tensor, 0);
    }
  return cuts;
}

function placesIn(graph: Graph, mesh: Mesh, placements: ReadonlyMap<TensorId, Placement>): Places {
  const tensors = allTensors(graph);
  return { mesh, tensor: (id) => tensors.get(id)!, placement: (id) => placements.get(id) };
}

/** The first region in the graph or in a loop of it; `root` is the graph that it is in. */
function withDispatch(
  graph: Graph,
  root: Graph,
  places: Places,
  options: DispatchOptions,
): Graph | undefined {
  const region = findRegion(graph.nodes, places);
  if (region !== undefined) {
    const count = slotCount(region.routing, root, options);
    return dispatched(graph, region, { count, tensor: places.tensor, newTensor: creator(root) });
  }
  for (const [position, node] of graph.nodes.entries()) {
    const body = node.kind === 'loop' ? withDispatch(node.body, root, places, options) : undefined;
    if (node.kind === 'loop' && body !== undefined)
      return { ...graph, nodes: graph.nodes.with(position, { ...node, body }) };
  }
  return undefined;
}

function creator(root: Graph): NewTensor {
  let next = greatestId(root) + 1;
  return (name, dtype, shape) => ({ id: next++, name, dtype, shape });
}

/** Slots of one expert for one block of tokens. */
function slotCount(routing: Routing, root: Graph, { capacityFactor }: DispatchOptions): number {
  const most = mostPicks(routing, root);
  if (capacityFactor === undefined || routing.experts === 0) return most;
  return Math.min(most, Math.ceil((picksInBlock(routing) / routing.experts) * capacityFactor));
}

/**
 * How many picks of one block may be of one expert: what is sorted picks different ones along its last
 * dimension.
 */
function mostPicks(routing: Routing, root: Graph): number {
  const { pick, queued, token } = routing;
  const picks = picksInBlock(routing);
  const last = pick.shape.length - 1;
  const apart = last !== token && queued.includes(last) && isOrder(pick.id, allNodes(root));
  return apart && picks > 0 ? picks / pick.shape[last]! : picks;
}

/** Whether the tensor is positions in order, moved or not. */
function isOrder(tensor: TensorId, nodes: readonly Node[]): boolean {
  for (const node of nodes) {
    if (node.kind === 'order' && node.result.id === tensor) return true;
    if (node.kind === 'collective' && node.result.id === tensor) return isOrder(node.source, nodes);
  }
  return false;
}
