/**
 * Where tensors are read in a placed program, and how a reader may have its tensor cut without computing
 * anything else than before.
 */
import { axesOf, isPrefix, type Placement, sameList } from '../../../dsl/placement/placement.ts';
import type {
  BlockNode,
  ComputeNode,
  Graph,
  LoopId,
  LoopNode,
  Node,
  SoftmaxSumNode,
  Tensor,
  TensorId,
} from '../../graph/graph.ts';
import { loadsOf } from '../../graph/scalar.ts';
import { allTensors, nodeScalars, renameReads } from '../../graph/uses.ts';
import { extentsOf } from '../../optimize/nodes.ts';
import { isFree } from '../conversion.ts';
import { iteratorLists } from '../iterators.ts';
import type { PlacedGraph } from '../place.ts';

export type LoopCounts = ReadonlyMap<LoopId, number>;

/** A place where a tensor is read. */
export type ReadSlot =
  | { readonly kind: 'node'; readonly node: Exclude<Node, LoopNode>; readonly loops: LoopCounts }
  /** The initial value of a state. */
  | { readonly kind: 'state'; readonly loop: LoopNode; readonly position: number }
  /** What a step of a loop gives. */
  | { readonly kind: 'next'; readonly loop: LoopNode; readonly position: number }
  | { readonly kind: 'result'; readonly path: string };

export type Rename = (tensor: TensorId, slot: ReadSlot) => TensorId;

/** The nodes with other tensors in the places where they read, those of loop bodies too. */
export function mapReads(nodes: readonly Node[], loops: LoopCounts, rename: Rename): readonly Node[] {
  return nodes.map((node): Node => {
    if (node.kind !== 'loop')
      return renameReads(node, (tensor) => rename(tensor, { kind: 'node', node, loops }));
    const { body, initial } = node;
    const inside = mapReads(body.nodes, withLoop(loops, node), rename);
    const outputs = mapOutputs(body, (position) => ({ kind: 'next', loop: node, position }), rename);
    return {
      ...node,
      initial: initial.map((tensor, position) => rename(tensor, { kind: 'state', loop: node, position })),
      body: { ...body, nodes: inside, outputs },
    };
  });
}

export function mapOutputs(
  { outputs }: Graph,
  slotAt: (position: number) => ReadSlot,
  rename: Rename,
): Graph['outputs'] {
  return outputs.map((output, position) => ({ ...output, tensor: rename(output.tensor, slotAt(position)) }));
}

export function withLoop(loops: LoopCounts, { loop, count }: LoopNode): LoopCounts {
  return new Map([...loops, [loop, count]]);
}

/** A part of a program that a pass works on: all of it, or the body of a loop. */
export interface Level {
  readonly graph: Graph;
  readonly loops: LoopCounts;
  /** What reads its outputs. */
  readonly outputSlot: (position: number) => ReadSlot;
}

/** Does something to every body of a loop, innermost first, and then to the graph itself. */
export function mapLevels(graph: Graph, change: (level: Level) => Graph): Graph {
  const visit = ({ graph: inner, loops, outputSlot }: Level): Graph => {
    const nodes = inner.nodes.map((node): Node => {
      if (node.kind !== 'loop') return node;
      const body = visit({
        graph: node.body,
        loops: withLoop(loops, node),
        outputSlot: (position) => ({ kind: 'next', loop: node, position }),
      });
      return { ...node, body };
    });
    return change({ graph: { ...inner, nodes }, loops, outputSlot });
  };
  const outputSlot = (position: number): ReadSlot => ({
    kind: 'result',
    path: graph.outputs[position]!.path,
  });
  return visit({ graph, loops: new Map(), outputSlot });
}

/** A program under change: what is added to it is added here. */
export interface Draft {
  readonly placed: PlacedGraph;
  readonly tensors: Map<TensorId, Tensor>;
  readonly placements: Map<TensorId, Placement>;
}

export function draftOf(placed: PlacedGraph): Draft {
  return { placed, tensors: new Map(allTensors(placed.graph)), placements: new Map(placed.placements) };
}

export function newTensor(draft: Draft, like: Tensor, placement: Placement): Tensor {
  const id = Math.max(-1, ...draft.tensors.keys()) + 1;
  const tensor = { ...like, id };
  draft.tensors.set(id, tensor);
  draft.placements.set(id, placement);
  return tensor;
}

/**
 * The placement that what reads the tensor makes of it, without data moving, before it does anything else:
 * the tensor could as well live so.
 */
export function takenAs(tensor: TensorId, slot: ReadSlot, draft: Draft): Placement {
  const held = draft.placements.get(tensor)!;
  const taken = takenAt(tensor, slot, draft, held);
  if (taken === undefined || !isFree(held, taken)) return held;
  const axes = axesOf(taken);
  return new Set(axes).size === axes.length ? taken : held;
}

function takenAt(tensor: TensorId, slot: ReadSlot, draft: Draft, held: Placement): Placement | undefined {
  switch (slot.kind) {
    case 'node':
      return takenByNode(tensor, slot.node, slot.loops, draft, held);
    case 'state':
    case 'next': {
      const state = slot.loop.body.inputs[slot.position];
      return state && draft.placements.get(state.tensor.id);
    }
    case 'result':
      return draft.placed.outputs.get(slot.path);
  }
}

function takenByNode(
  tensor: TensorId,
  node: Exclude<Node, LoopNode>,
  loops: LoopCounts,
  draft: Draft,
  held: Placement,
): Placement | undefined {
  switch (node.kind) {
    case 'compute':
    case 'softmaxSum':
      return takenByLoads(tensor, node, loops, draft, held);
    case 'block':
      return takenAsBlock(node, held);
    case 'route':
    case 'order':
    case 'prefix':
    case 'collective':
    case 'exchange':
      return undefined;
  }
}

/** A dimension that one iterator runs over is cut as the iterator is. */
function takenByLoads(
  tensor: TensorId,
  node: ComputeNode | SoftmaxSumNode,
  loops: LoopCounts,
  { placed: { mesh }, placements, tensors }: Draft,
  held: Placement,
): Placement {
  const scalars = nodeScalars(node);
  const extents = extentsOf(node);
  const placedTensor = (id: TensorId) => ({ tensor: tensors.get(id)!, placement: placements.get(id)! });
  const lists = iteratorLists(scalars, { mesh, loops, extents, tensor: placedTensor });
  const loads = scalars.flatMap(loadsOf).filter((load) => load.tensor === tensor);
  const { shape } = tensors.get(tensor)!;
  const dims = held.dims.map((list, dim) => {
    const cuts = loads.map(({ subscripts }) => {
      const subscript = subscripts[dim]!;
      const runsOver = subscript.op === 'iterator' && extents[subscript.axis] === shape[dim];
      return runsOver ? lists[subscript.axis]! : list;
    });
    const [first = list] = cuts;
    return cuts.every((cut) => sameList(cut, first)) ? first : list;
  });
  return { dims, pending: held.pending };
}

function takenAsBlock({ direction, cuts }: BlockNode, held: Placement): Placement | undefined {
  if (direction === 'leave') return undefined;
  const dims = held.dims.map((list, dim) => (isPrefix(list, cuts[dim]!) ? cuts[dim]! : list));
  return { dims, pending: held.pending };
}
