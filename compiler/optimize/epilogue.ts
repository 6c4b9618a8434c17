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
  return fuseIn(graph, { readers: uses(graph), areAlike: true });
}

/** Axes of a single place may then be in one of the two only: what looks for structure does not expect it. */
export function fuseMoreEpilogues(graph: Graph): Graph {
  return fuseIn(graph, { readers: uses(graph), areAlike: false });
}

interface Fusing {
  readonly readers: ReadonlyMap<TensorId, readonly Use[]>;
  /** Whether the map has all axes of the reduction and no others. */
  readonly areAlike: boolean;
}

function fuseIn(graph: Graph, fusing: Fusing): Graph {
  /** Reductions that may still be taken over by their reader, by what they define. */
  const open = new Map<TensorId, ComputeNode>();
  const taken = new Set<TensorId>();
  const nodes = graph.nodes.map((node): Node => {
    if (node.kind === 'loop') return { ...node, body: fuseIn(node.body, fusing) };
    if (node.kind !== 'compute') return node;
    let fused = node;
    if (node.reduce === undefined) {
      const best = candidates(node, open, fusing)[0];
      if (best !== undefined) {
        fused = withEpilogue(best.reduction, best.axes, node);
        taken.add(best.reduction.result.id);
      }
    }
    if (fused.reduce !== undefined && fusing.readers.get(fused.result.id)?.length === 1)
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
  { areAlike }: Fusing,
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
        areAlike,
      );
    return reduction && axes && readsTogether(reduction, map) <= mostReads ? [{ reduction, axes }] : [];
  });
  const work = ({ reduction }: Candidate) => product(extentsOf(reduction));
  return found.reverse().sort((left, right) => work(right) - work(left));
}

/** The axes at which all the loads read, when they are the map's iterators in some order, each once. */
function commonPermutation(
  loads: readonly Load[],
  { result, grouped }: ComputeNode,
  map: ComputeNode,
  areAlike: boolean,
): MapAxes | undefined {
  const { shape } = map.result;
  const mayLack = !areAlike && grouped === undefined;
  const [first, ...rest] = loads.map((load) =>
    load.subscripts.map((subscript, axis) => {
      if (subscript.op === 'iterator') return subscript.axis;
      return result.shape[axis] === 1 && mayLack ? undefined : -1;
    }),
  );
  const own = new Set(first);
  own.delete(undefined);
  const isPermutation =
    first !== undefined &&
    !own.has(-1) &&
    own.size === first.filter((axis) => axis !== undefined).length &&
    shape.every((extent, axis) => own.has(axis) || (extent === 1 && mayLack));
  return isPermutation && rest.every((axes) => axes.every((axis, position) => axis === first[position]))
    ? first
    : undefined;
}

function readsTogether(reduction: ComputeNode, map: ComputeNode): number {
  return new Set([...readsOf(reduction), ...readsOf(map)]).size - 1;
}

function withEpilogue(reduction: ComputeNode, axes: MapAxes, map: ComputeNode): ComputeNode {
  const { combiner, extents, finish } = reduction.reduce!;
  const further = map.result.shape.length - axes.length;
  const permuted = (scalar: Scalar) =>
    substituteIterators(scalar, (axis) => {
      const own = axis < axes.length ? axes[axis] : axis + further;
      return own === undefined ? integer(0) : iterator(own);
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
