/**
 * Sums of sums of products of 8-bit floats, as products of numbers with a scale for each block of them are
 * written, become one sum where matrix units then run all of it: with what the inner sums are multiplied they
 * are added up anyway (`schedules/eight-bit-product.ts`). Without, the inner sums would all be stored.
 */
import type { ComputeNode, Graph, Node, Scalar, TensorId } from '../graph/graph.ts';
import { iterator, substituteIterators } from '../graph/scalar.ts';
import { uses } from '../graph/uses.ts';
import { factorsOf, product } from '../optimize/contraction.ts';
import { problemOf } from './choices/problem.ts';
import type { ScheduleContext } from './schedules/context.ts';

/** The nodes of a list, those that are one sum together as one. */
export function joinSums(graph: Graph, context: ScheduleContext): readonly Node[] {
  const { nodes } = graph;
  if (context.device.units?.allowed?.includes('f8-sums') !== true) return nodes;
  const read = uses(graph);
  const inner = new Map<TensorId, Sum>();
  for (const node of nodes)
    if (isSum(node) && node.reduce.finish === undefined && read.get(node.result.id)?.length === 1)
      inner.set(node.result.id, node);
  const joined = new Set<TensorId>();
  const together = nodes.map((node): Node => {
    const all = isSum(node) ? joinedWith(node, inner) : undefined;
    if (all === undefined) return node;
    const problem = problemOf(all.node, context);
    if (problem?.kind !== 'contraction' || problem.eights === undefined) return node;
    joined.add(all.inner);
    return all.node;
  });
  return together.filter((node) => node.kind !== 'compute' || !joined.has(node.result.id));
}

type Sum = ComputeNode & { readonly reduce: NonNullable<ComputeNode['reduce']> };

function isSum(node: Node): node is Sum {
  if (node.kind !== 'compute' || node.grouped !== undefined || node.reduce?.combiner !== 'sum') return false;
  return node.reduce.ends === undefined && node.result.ends === undefined;
}

/** A sum with the one that is a factor of its terms in place of that. */
function joinedWith(
  node: Sum,
  inner: ReadonlyMap<TensorId, Sum>,
): { readonly node: ComputeNode; readonly inner: TensorId } | undefined {
  const factors = factorsOf(node.body);
  for (const factor of factors) {
    const sum = factor.op === 'load' ? inner.get(factor.tensor) : undefined;
    if (factor.op !== 'load' || sum === undefined) continue;
    // Which axis of the outer one an axis of the inner is.
    const places = factor.subscripts.flatMap((each) => (each.op === 'iterator' ? [each.axis] : []));
    if (places.length < factor.subscripts.length || new Set(places).size < places.length) return undefined;
    const [behind, rank] = [node.result.shape.length + node.reduce.extents.length, places.length];
    const moved = substituteIterators(
      sum.body,
      (axis): Scalar => iterator(places[axis] ?? behind + axis - rank),
    );
    const others = factors.filter((other) => other !== factor);
    return {
      inner: factor.tensor,
      node: {
        ...node,
        body: product([...others, ...factorsOf(moved)]),
        reduce: { ...node.reduce, extents: [...node.reduce.extents, ...sum.reduce.extents] },
      },
    };
  }
  return undefined;
}
