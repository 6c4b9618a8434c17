/**
 * The placement of every tensor of a program, from those of its inputs: the one rule for comprehensions, node
 * by node. The program is the one of a whole mesh, with collectives where data is to move; nothing else moves
 * it. What is found comes with the compute nodes as one device runs them, since that a read is local is found
 * by making it so.
 */
import {
  type AxisList,
  axesOf,
  isPrefix,
  type Mesh,
  type PendingCombiner,
  type Placement,
  samePlacement,
  showList,
  wholePlacement,
} from '../../dsl/placement/placement.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type {
  BlockNode,
  CollectiveNode,
  ComputeNode,
  Graph,
  LoopId,
  LoopNode,
  Node,
  NodeKind,
  OrderNode,
  PrefixNode,
  RouteNode,
  Scalar,
  SoftmaxSumNode,
  Tensor,
  TensorId,
} from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import type { Load } from '../graph/scalar.ts';
import { allTensors, nodeScalars, readsOf } from '../graph/uses.ts';
import { extentsOf } from '../optimize/nodes.ts';
import { isFree } from './conversion.ts';
import { type ExpressionScope, type LocalScalar, localizer, type Pending } from './expressions.ts';
import { Misplaced, type PlacementFault } from './fault.ts';
import { changeWithoutIdle, placementWithoutIdle } from './idle-axes.ts';
import { iteratorLists } from './iterators.ts';
import { blockOf, checkPlacement, localTensor } from './local-blocks.ts';
import { partialOf } from './pending.ts';
import { placementAfter } from './placement-after.ts';
import { preparedFor } from './prepared.ts';

export interface PlaceOptions {
  readonly mesh: Mesh;
  /**
   * Of every input by path; those that are not named are whole. Axes of one device are left out of these and
   * of all that follows from them.
   */
  readonly inputs: ReadonlyMap<string, Placement>;
  /** What outputs are declared as, by path; those that are not named are left as they come. */
  readonly outputs: ReadonlyMap<string, Placement>;
}

/** A program whose tensors all have their places. */
export interface PlacedGraph {
  readonly graph: Graph;
  readonly mesh: Mesh;
  readonly placements: ReadonlyMap<TensorId, Placement>;
  /** By path. */
  readonly outputs: ReadonlyMap<string, Placement>;
  /** What one device runs in place of a node of these kinds, by what it defines. */
  readonly local: ReadonlyMap<TensorId, ComputeNode | SoftmaxSumNode>;
}

export type PlaceResult =
  | { readonly kind: 'placed'; readonly placed: PlacedGraph }
  | {
      readonly kind: 'misplaced';
      readonly faults: readonly PlacementFault[];
      /** Of what has a place nevertheless. */
      readonly placements: ReadonlyMap<TensorId, Placement>;
    };

/** The faults are all that can be found: what reads a tensor without a place is not looked at. */
export function place(graph: Graph, { mesh, inputs, outputs }: PlaceOptions): PlaceResult {
  const faults: PlacementFault[] = [];
  const given = (placements: ReadonlyMap<string, Placement>, path: string): Placement | undefined => {
    const found = placements.get(path);
    return found && placementWithoutIdle(found, mesh);
  };
  const state: State = {
    mesh,
    tensors: allTensors(graph),
    placements: new Map(),
    local: new Map(),
    loops: new Map(),
    faults,
  };
  for (const { path, tensor } of graph.inputs)
    attempt(state, undefined, tensor.id, () =>
      define(state, tensor, given(inputs, path) ?? wholePlacement(tensor.shape.length)),
    );
  placeNodes(graph.nodes, state);
  const left = new Map<string, Placement>();
  for (const { path, tensor } of graph.outputs)
    attempt(state, undefined, tensor, () => {
      const found = state.placements.get(tensor);
      if (found === undefined) return;
      const declared = given(outputs, path) ?? found;
      checkPlacement(state.tensors.get(tensor)!.shape, declared, mesh);
      if (!isFree(found, declared)) throw notAsDeclared(path, found, declared);
      left.set(path, declared);
    });
  const { placements, local } = state;
  if (faults.length > 0) return { kind: 'misplaced', faults, placements };
  return { kind: 'placed', placed: { graph, mesh, placements, outputs: left, local } };
}

function notAsDeclared(path: string, found: Placement, declared: Placement): Misplaced {
  const axes = [...new Set([...axesOf(found), ...axesOf(declared)])];
  return new Misplaced(
    'outputs are as declared',
    axes,
    `${path} becomes what is declared by moving data only`,
  );
}

interface State {
  readonly mesh: Mesh;
  readonly tensors: ReadonlyMap<TensorId, Tensor>;
  readonly placements: Map<TensorId, Placement>;
  readonly local: Map<TensorId, ComputeNode | SoftmaxSumNode>;
  /** Counts of the loops around what is placed. */
  readonly loops: ReadonlyMap<LoopId, number>;
  readonly faults: PlacementFault[];
  readonly onLookUp?: ExpressionScope['onLookUp'];
}

function attempt(state: State, node: Node | undefined, tensor: TensorId | undefined, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof Misplaced)) throw error;
    state.faults.push({ ...error.finding, node, tensor });
  }
}

function define({ placements, mesh }: State, tensor: Tensor, placement: Placement): void {
  checkPlacement(tensor.shape, placement, mesh);
  placements.set(tensor.id, placement);
}

function placeNodes(nodes: readonly Node[], state: State): void {
  for (const node of nodes) {
    for (const tensor of results(node)) state.placements.delete(tensor.id);
    const read = node.kind === 'loop' ? node.initial : readsOf(node);
    if ([...read].every((tensor) => state.placements.has(tensor)))
      attempt(state, node, undefined, () =>
        (rules[node.kind] as (node: Node, state: State) => void)(node, state),
      );
  }
}

type Rules = {
  readonly [K in NodeKind]: (node: Extract<Node, { kind: K }>, state: State) => void;
};

const rules: Rules = {
  compute: placeCompute,
  softmaxSum: placeSoftmaxSum,
  route: placeRoute,
  order: placeOrder,
  prefix: placePrefix,
  loop: placeLoop,
  collective: (node: CollectiveNode, state) => {
    const from = state.placements.get(node.source)!;
    const { change, from: prepared } = preparedFor(changeWithoutIdle(node.change, state.mesh), from);
    checkPlacement(node.result.shape, prepared, state.mesh);
    const after = change ? placementAfter(prepared, change, state.mesh) : prepared;
    if (change?.kind === 'declare' && !isFree(from, after))
      throw new Misplaced(
        'declarations move nothing',
        axesOf(after),
        'what is declared would have to be moved there',
      );
    define(state, node.result, after);
  },
  block: (node, state) => {
    const from = state.placements.get(node.source)!;
    define(state, node.result, node.direction === 'enter' ? entered(node, from) : left(node, from));
  },
  exchange: (node, state) => {
    const { dims, pending } = state.placements.get(node.source)!;
    const used = node.axes.find((axis) => dims.some((list) => list.includes(axis)) || pending.has(axis));
    if (used !== undefined)
      throw new Misplaced('collectives fit', [used], `one device has a part along ${used} only`);
    const leading = node.result.shape.length - dims.length;
    define(state, node.result, {
      dims: leading < 0 ? dims.slice(1) : [...Array.from({ length: leading }, () => []), ...dims],
      pending,
    });
  },
};

/** What is left of the lists when a device has the block of the cuts. */
function entered({ cuts }: BlockNode, { dims, pending }: Placement): Placement {
  const rest = dims.map((list, dim) => {
    const cut = cuts[dim]!;
    if (isPrefix(list, cut)) return [];
    if (isPrefix(cut, list)) return list.slice(cut.length);
    throw new Misplaced('collectives fit', list, `it lives ${showList(list)} and is taken ${showList(cut)}`);
  });
  const elsewhere = cuts.flat().find((axis) => rest.some((list) => list.includes(axis)));
  if (elsewhere !== undefined)
    throw new Misplaced('collectives fit', [elsewhere], `${elsewhere} cuts it in another dimension already`);
  const [axis] = pending.keys();
  if (axis !== undefined)
    throw new Misplaced('pending values are used linearly', [axis], 'a device takes the final value');
  return { dims: rest, pending };
}

function left({ cuts }: BlockNode, { dims, pending }: Placement): Placement {
  return { dims: dims.map((list, dim) => [...cuts[dim]!, ...list]), pending };
}

/** What a node by itself is placed from. */
export interface NodeScope {
  readonly mesh: Mesh;
  /** Of all that the node reads. */
  readonly tensors: ReadonlyMap<TensorId, Tensor>;
  readonly placements: ReadonlyMap<TensorId, Placement>;
  /** Counts of the loops around it. */
  readonly loops: ReadonlyMap<LoopId, number>;
}

export interface PlacedNode {
  /** Of its results, in order. */
  readonly results: readonly Placement[];
  /** The node as one device runs it, where it is of these kinds. */
  readonly local: ComputeNode | SoftmaxSumNode | undefined;
  /** Its reads, by dimension, of which not every device has what it reads. */
  readonly lookUps: readonly LookUp[];
}

export interface LookUp {
  readonly load: Load;
  readonly dim: number;
}

/** A node by itself; undefined where the rule does not allow it there. */
export function placeNode(node: Exclude<Node, LoopNode>, scope: NodeScope): PlacedNode | undefined {
  const lookUps: LookUp[] = [];
  const state: State = {
    ...scope,
    placements: new Map(scope.placements),
    local: new Map(),
    faults: [],
    onLookUp: (load, dim) => lookUps.push({ load, dim }),
  };
  placeNodes([node], state);
  if (state.faults.length > 0) return undefined;
  const [first] = results(node);
  return {
    results: results(node).map(({ id }) => state.placements.get(id)!),
    local: first && state.local.get(first.id),
    lookUps,
  };
}

// ── comprehensions ─────────────────────────────────────────────────────────────────────────────────────────

/** The axes that cut each iterator, and the node's expressions as one device evaluates them. */
function localized(node: ComputeNode | SoftmaxSumNode, state: State) {
  const { mesh, loops, onLookUp } = state;
  const extents = extentsOf(node);
  const tensor = (id: TensorId) => ({ tensor: state.tensors.get(id)!, placement: state.placements.get(id)! });
  const scope = { mesh, loops, extents, tensor };
  const lists = iteratorLists(nodeScalars(node), scope);
  disjoint(lists, []);
  const blocks = extents.map((extent, axis) => blockOf(extent, lists[axis]!, mesh));
  return { lists, blocks, local: localizer({ ...scope, lists, ...(onLookUp && { onLookUp }) }).local };
}

function disjoint(lists: readonly AxisList[], pending: Iterable<string>): void {
  const used = [...lists.flat(), ...pending];
  const twice = used.find((axis, position) => used.indexOf(axis) !== position);
  if (twice === undefined) return;
  const where =
    lists.flat().filter((axis) => axis === twice).length > 1
      ? 'two variables'
      : 'a variable and a pending value';
  throw new Misplaced('axes are disjoint', [twice], `${twice} is on ${where}`);
}

function whole(lists: readonly AxisList[], what: string): void {
  const cut = lists.find((list) => list.length > 0);
  if (cut === undefined) return;
  throw new Misplaced(
    'variables are whole',
    cut,
    `${what} needs a variable whole that is cut ${showList(cut)}`,
  );
}

function onlyPending(pending: Pending, allowed: PendingCombiner | undefined, what: string): void {
  const wrong = [...pending].find(([, combiner]) => combiner !== allowed);
  if (wrong === undefined) return;
  const message = `${what} needs the final value of what is still to be combined over ${wrong[0]}`;
  throw new Misplaced('pending values are used linearly', [wrong[0]], message);
}

function placeCompute(node: ComputeNode, state: State): void {
  const { lists, blocks, local } = localized(node, state);
  const { reduce, result } = node;
  const rank = result.shape.length;
  const body = local(node.body);
  disjoint(lists, body.pending.keys());
  const partial = reduce && partialOf[reduce.combiner];
  let pending = body.pending;
  let finish: LocalScalar | undefined;
  if (reduce !== undefined) {
    const reduced = lists.slice(rank);
    if (partial === undefined) whole(reduced, reduce.combiner);
    onlyPending(body.pending, partial, reduce.combiner);
    pending = new Map([...pending, ...reduced.flat().map((axis) => [axis, partial!] as const)]);
    finish = reduce.finish && local(reduce.finish, pending);
    pending = finish?.pending ?? pending;
  }
  disjoint(lists.slice(0, rank), pending.keys());
  // The parts of a narrow integer wrap, which is seen once they are read as wider ones.
  const { class: kind, arithmetic } = dtypeFacts[result.dtype];
  if (kind !== 'float' && arithmetic !== result.dtype) onlyPending(pending, undefined, result.dtype);
  const placement = { dims: lists.slice(0, rank), pending };
  define(state, result, placement);
  state.local.set(result.id, {
    ...node,
    result: localTensor(result, placement, state.mesh),
    body: body.scalar,
    reduce: reduce && { ...reduce, extents: blocks.slice(rank), finish: finish?.scalar },
    // The optimizer finds it again.
    grouped: undefined,
  });
}

/** Linear in the value; logits and what is visible are final, and the streamed axis whole. */
function placeSoftmaxSum(node: SoftmaxSumNode, state: State): void {
  const { lists, local } = localized(node, state);
  const rank = node.result.shape.length;
  whole(lists.slice(rank), 'softmax');
  const settled = (scalar: Scalar): Scalar => {
    const found = local(scalar);
    onlyPending(found.pending, undefined, 'softmax');
    return found.scalar;
  };
  const value = local(node.value);
  onlyPending(value.pending, 'sum', 'a weighted sum');
  disjoint(lists, value.pending.keys());
  const placement = { dims: lists.slice(0, rank), pending: value.pending };
  define(state, node.result, placement);
  state.local.set(node.result.id, {
    ...node,
    result: localTensor(node.result, placement, state.mesh),
    scoreBody: settled(node.scoreBody),
    logit: settled(node.logit),
    visible: node.visible && settled(node.visible),
    value: value.scalar,
  });
}

// ── what is no comprehension ───────────────────────────────────────────────────────────────────────────────

function placeRoute(node: RouteNode, state: State): void {
  const source = state.placements.get(node.pick)!;
  whole(source.dims, 'routing');
  onlyPending(source.pending, undefined, 'routing');
  for (const tensor of [node.order, node.offsets]) define(state, tensor, wholePlacement(1));
}

function placeOrder(node: OrderNode, state: State): void {
  const source = state.placements.get(node.source)!;
  whole(source.dims.slice(-1), 'sorting');
  onlyPending(source.pending, undefined, 'sorting');
  define(state, node.result, source);
}

function placePrefix(node: PrefixNode, state: State): void {
  const source = state.placements.get(node.source)!;
  whole(source.dims.slice(-1), 'a prefix');
  onlyPending(source.pending, partialOf[node.combiner], 'a prefix');
  define(state, node.result, source);
}

/**
 * Where the states live is a fixed point: they start as their initial values do, and are cut (or left to be
 * combined) further, which moves no data, until a step gives them back as it got them.
 */
function placeLoop(node: LoopNode, state: State): void {
  const { body, count } = node;
  const inside: State = { ...state, loops: new Map([...state.loops, [node.loop, count]]), faults: [] };
  let states = node.initial.map((tensor) => state.placements.get(tensor)!);
  for (let settled = false; !settled; ) {
    for (const [position, { tensor }] of body.inputs.entries()) define(inside, tensor, states[position]!);
    placeNodes(body.nodes, inside);
    const given = body.outputs.map(({ tensor }) => state.placements.get(tensor));
    if (inside.faults.length > 0 || given.includes(undefined)) {
      state.faults.push(...inside.faults);
      return;
    }
    const next = states.map((now, position) =>
      joined(now, given[position]!, body.inputs[position]!.tensor.name),
    );
    settled = next.every((placement, position) => samePlacement(placement, states[position]!));
    states = next;
  }
  for (const [position, tensor] of node.results.entries()) {
    const { dims, pending } = states[position] ?? state.placements.get(body.outputs[position]!.tensor)!;
    define(state, tensor, { dims: position < states.length ? dims : [[], ...dims], pending });
  }
}

/** Where a state lives that goes into a step as `now` and comes out as `next`. */
function joined(now: Placement, next: Placement, name: string): Placement {
  const dims = now.dims.map((list, dim) => (isPrefix(list, next.dims[dim]!) ? next.dims[dim]! : list));
  const both = { dims, pending: new Map([...now.pending, ...next.pending]) };
  const isOnce = new Set(axesOf(both)).size === axesOf(both).length;
  if (isOnce && isFree(now, both) && isFree(next, both)) return both;
  const axes = [...new Set([...axesOf(now), ...axesOf(next)])];
  throw new Misplaced(
    'states stay where they are',
    axes,
    `${name} does not come out of a step as it went in`,
  );
}
