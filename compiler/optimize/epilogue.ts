/**
 * Epilogue fusion: a map that reads a reduction at its own output axes, in any order, and is its only reader
 * becomes the reduction's `finish`, so that the reduced tensor is never stored.
 */
import type { ComputeNode, Graph, Node, Scalar, TensorId } from '../graph/graph.ts';
import {
  integer,
  iterator,
  type Load,
  loadsOf,
  reduced,
  scalarType,
  substituteIterators,
  substituteLoads,
} from '../graph/scalar.ts';
import { readsOf, type Use, uses } from '../graph/uses.ts';
import { asStored, mostReads } from './inline.ts';
import { extentsOf, product } from './nodes.ts';

export function fuseEpilogues(graph: Graph): Graph {
  return fuseIn(graph, uses(graph), isIterator);
}

/**
 * Also where the map reads at 0 along axes of a single place, as that of the tokens is where there is one,
 * whether it has such axes itself or not. What is recovered is recognised without that.
 */
export function fuseMoreEpilogues(graph: Graph): Graph {
  return fuseIn(graph, uses(graph), isIteratorOrOnly);
}

type MayRead = (subscript: Scalar, extent: number) => boolean;
const isIterator: MayRead = ({ op }) => op === 'iterator';
const isIteratorOrOnly: MayRead = ({ op }, extent) =>
  op === 'iterator' || (op === 'constant' && extent === 1);

function fuseIn(graph: Graph, readers: ReadonlyMap<TensorId, readonly Use[]>, mayRead: MayRead): Graph {
  /** Reductions that may still be taken over by their reader, by what they define. */
  const open = new Map<TensorId, ComputeNode>();
  const taken = new Set<TensorId>();
  const nodes = graph.nodes.map((node): Node => {
    if (node.kind === 'loop') return { ...node, body: fuseIn(node.body, readers, mayRead) };
    if (node.kind !== 'compute') return node;
    let fused = node;
    if (node.reduce === undefined) {
      const best = candidates(node, open, mayRead)[0];
      if (best !== undefined) {
        fused = withEpilogue(best.reduction, best.axes, node);
        taken.add(best.reduction.result.id);
      }
    }
    if (fused.reduce !== undefined && readers.get(fused.result.id)?.length === 1)
      open.set(fused.result.id, fused);
    return fused;
  });
  const isKept = (node: Node) => node.kind !== 'compute' || !taken.has(node.result.id);
  return { ...graph, nodes: nodes.filter(isKept) };
}

interface Candidate {
  readonly reduction: ComputeNode;
  readonly axes: MapAxes;
}

/** By output axis of the reduction: the map's axis at which it is read; undefined of a single place. */
type MapAxes = readonly (number | undefined)[];

/** The reductions that could take over the map, the longest first; of equal ones the last. */
function candidates(
  map: ComputeNode,
  open: ReadonlyMap<TensorId, ComputeNode>,
  mayRead: MayRead,
): readonly Candidate[] {
  const loads = loadsOf(map.body);
  const found = [...new Set(loads.map((load) => load.tensor))].flatMap((tensor): Candidate[] => {
    const reduction = open.get(tensor);
    const axes =
      reduction &&
      commonPermutation(
        loads.filter((load) => load.tensor === tensor),
        reduction,
        map,
        mayRead,
      );
    return reduction && axes && readsTogether(reduction, map) <= mostReads ? [{ reduction, axes }] : [];
  });
  const work = ({ reduction }: Candidate) => product(extentsOf(reduction));
  return found.reverse().sort((left, right) => work(right) - work(left));
}

/**
 * The axes at which all the loads read, when they are the map's iterators in some order, each once: but for
 * axes of a single place, which are paired as they come. What is grouped needs all of its axes. Where the map
 * goes further, as behind the first part of a concatenation, the reduction would too.
 */
function commonPermutation(
  loads: readonly Load[],
  { result, grouped }: ComputeNode,
  map: ComputeNode,
  mayRead: MayRead,
): MapAxes | undefined {
  if (!loads.every(({ subscripts }) => subscripts.every((part, at) => mayRead(part, result.shape[at]!))))
    return undefined;
  const [first, ...rest] = loads.map(({ subscripts }) =>
    subscripts.map((subscript) => (subscript.op === 'iterator' ? subscript.axis : undefined)),
  );
  if (first === undefined || !rest.every((axes) => axes.every((axis, position) => axis === first[position])))
    return undefined;
  const read = new Set(first);
  const unread = map.result.shape.flatMap((_, axis) => (read.has(axis) ? [] : [axis]));
  const known = first.filter((axis) => axis !== undefined);
  const isEachOnce = new Set(known).size === known.length;
  if (!isEachOnce || unread.some((axis) => map.result.shape[axis] !== 1)) return undefined;
  const axes = first.map((axis) => axis ?? unread.shift());
  if (axes.some((axis, at) => axis !== undefined && map.result.shape[axis]! > result.shape[at]!))
    return undefined;
  return grouped !== undefined && axes.includes(undefined) ? undefined : axes;
}

function readsTogether(reduction: ComputeNode, map: ComputeNode): number {
  return new Set([...readsOf(reduction), ...readsOf(map)]).size - 1;
}

function withEpilogue(reduction: ComputeNode, axes: MapAxes, map: ComputeNode): ComputeNode {
  const { combiner, extents, finish } = reduction.reduce!;
  const [before, rank] = [reduction.result.shape.length, map.result.shape.length];
  const permuted = (scalar: Scalar) =>
    substituteIterators(scalar, (axis) => {
      const read = axis < before ? axes[axis] : axis - before + rank;
      return read === undefined ? integer(0) : iterator(read);
    });
  const type = combiner === 'argmax' || combiner === 'argmin' ? 'i32' : scalarType(reduction.body);
  const value = asStored(reduction.result, finish === undefined ? reduced(type) : permuted(finish));
  const { grouped } = reduction;
  return {
    kind: 'compute',
    result: map.result,
    body: permuted(reduction.body),
    reduce: {
      combiner,
      extents,
      finish: substituteLoads(map.body, (load) => (load.tensor === reduction.result.id ? value : load)),
    },
    grouped: grouped && { ...grouped, axes: grouped.axes.map((axis) => axes[axis]!) },
  };
}
