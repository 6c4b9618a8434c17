/**
 * What was made in parts of a product dimension, `for (half, j): …`, and is read by the whole, `x[a]`, is
 * stored with one axis instead of two: the division moves from every reader, where it hides that neighbours
 * are read, to the one map that makes the tensor. Memory is row-major, so the elements lie as before.
 */
import type { ComputeNode, Graph, LoopId, Node, Scalar, TensorId } from '../graph/graph.ts';
import { iterator, type Load, loadsOf, mapScalar, subexpressions } from '../graph/scalar.ts';
import { allNodes, mapNodeScalars, nodeScalars } from '../graph/uses.ts';
import { type IndexArithmetic, indexArithmetic } from './index-arithmetic.ts';

/** Axes `axis` and `axis + 1` become one; `minor` is the extent of the second. */
interface Merge {
  readonly axis: number;
  readonly minor: number;
}

export function mergeAxes(graph: Graph): Graph {
  let current = graph;
  for (let merges = findMerges(current); merges.size > 0; merges = findMerges(current))
    current = withMerges(current, merges, loopCounts(current));
  return current;
}

function loopCounts(graph: Graph): ReadonlyMap<LoopId, number> {
  return new Map(
    allNodes(graph).flatMap((node) => (node.kind === 'loop' ? [[node.loop, node.count] as const] : [])),
  );
}

/** Arithmetic on the iterators of a node. */
function arithmeticOf(node: Node, loops: ReadonlyMap<LoopId, number>): IndexArithmetic {
  const extents = node.kind === 'compute' ? [...node.result.shape, ...(node.reduce?.extents ?? [])] : [];
  return indexArithmetic({ extent: (axis) => extents[axis]!, count: (loop) => loops.get(loop)! });
}

/**
 * At most one merge for each tensor: where every reader is rid of a division, or at least gets no new one.
 */
function findMerges(graph: Graph): ReadonlyMap<TensorId, Merge> {
  const loops = loopCounts(graph);
  const nodes = allNodes(graph);
  const fixed = readWhole(graph, nodes);
  const candidates = new Map<TensorId, ComputeNode>();
  for (const node of nodes)
    if (node.kind === 'compute' && node.reduce === undefined && !fixed.has(node.result.id))
      candidates.set(node.result.id, node);

  /**
   * By tensor, for each pair of neighbouring axes: divisions saved, or undefined where some reader would get
   * more.
   */
  const savings = new Map<TensorId, (number | undefined)[]>();
  for (const node of nodes) {
    const arithmetic = arithmeticOf(node, loops);
    for (const load of nodeScalars(node).flatMap(loadsOf)) {
      const shape = candidates.get(load.tensor)?.result.shape;
      if (shape === undefined) continue;
      const saved = savings.get(load.tensor) ?? shape.slice(1).map(() => 0);
      savings.set(
        load.tensor,
        saved.map((before, axis) => {
          const more = savedBy(load, { axis, minor: shape[axis + 1]! }, arithmetic);
          return before === undefined || more < 0 ? undefined : before + more;
        }),
      );
    }
  }
  const merges = [...savings].flatMap(([tensor, saved]) => {
    const axis = saved.findIndex((divisions) => (divisions ?? 0) > 0);
    return axis < 0
      ? []
      : [[tensor, { axis, minor: candidates.get(tensor)!.result.shape[axis + 1]! }] as const];
  });
  return new Map(merges);
}

/** Tensors whose shape is seen from outside, or by nodes that take them as they are. */
function readWhole(graph: Graph, nodes: readonly Node[]): ReadonlySet<TensorId> {
  const read = new Set(graph.outputs.map(({ tensor }) => tensor));
  for (const node of nodes) {
    if ('source' in node) read.add(node.source);
    if (node.kind !== 'loop') continue;
    for (const tensor of [...node.initial, ...node.body.outputs.map((output) => output.tensor)])
      read.add(tensor);
  }
  return read;
}

function savedBy({ subscripts }: Load, { axis, minor }: Merge, arithmetic: IndexArithmetic): number {
  const parts = [subscripts[axis]!, subscripts[axis + 1]!];
  const merged = arithmetic.merge(parts, [0, minor]);
  return divisions(parts[0]!) + divisions(parts[1]!) - divisions(merged);
}

function divisions(scalar: Scalar): number {
  return subexpressions(scalar).filter(
    (part) => part.op === 'apply' && (part.function === 'floordiv' || part.function === 'mod'),
  ).length;
}

// ── rewriting ──────────────────────────────────────────────────────────────────────────────────────────────

function withMerges(
  graph: Graph,
  merges: ReadonlyMap<TensorId, Merge>,
  loops: ReadonlyMap<LoopId, number>,
): Graph {
  const nodes = graph.nodes.map((node): Node => {
    if (node.kind === 'loop') return { ...node, body: withMerges(node.body, merges, loops) };
    if (node.kind !== 'compute') return node;
    const merge = merges.get(node.result.id);
    const renamed = merge ? withMergedResult(node, merge) : node;
    const arithmetic = arithmeticOf(renamed, loops);
    return mapNodeScalars(renamed, (scalar) =>
      mapScalar(scalar, (part): Scalar => {
        if (part.op === 'iterator') return merge ? oldIterator(part.axis, merge, arithmetic) : part;
        const merged = part.op === 'load' ? merges.get(part.tensor) : undefined;
        if (part.op !== 'load' || merged === undefined) return arithmetic.simplify(part);
        const pair = part.subscripts.slice(merged.axis, merged.axis + 2);
        return {
          ...part,
          subscripts: part.subscripts.toSpliced(merged.axis, 2, arithmetic.merge(pair, [0, merged.minor])),
        };
      }),
    );
  });
  return { ...graph, nodes };
}

function withMergedResult(node: ComputeNode, { axis, minor }: Merge): ComputeNode {
  const { shape } = node.result;
  return { ...node, result: { ...node.result, shape: shape.toSpliced(axis, 2, shape[axis]! * minor) } };
}

/** An iterator of the map, in terms of those that it has after the merge. */
function oldIterator(axis: number, merge: Merge, arithmetic: IndexArithmetic): Scalar {
  if (axis < merge.axis) return iterator(axis);
  if (axis > merge.axis + 1) return iterator(axis - 1);
  const parts = arithmetic.split(iterator(merge.axis), [0, merge.minor]);
  return parts[axis - merge.axis]!;
}
