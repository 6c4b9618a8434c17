/**
 * A weighted sum and the sum of exponentials of the same logits become one streaming node, as attention and
 * the logarithm of its total, for which its gradient asks:
 *
 *     result     = softmax sum u: value                        of logits x, where visible
 *     top, total = softmax sum u: 1, in part                   of select(visible, x, −∞)
 *
 * The node leaves its sums in part, with the top and the total that it has anyway; the result is a map of
 * these, divided by the total. So scores are made once, and only where they are seen.
 */
import type {
  Graph,
  Node,
  PartialSoftmax,
  Scalar,
  SoftmaxSumNode,
  Tensor,
  TensorId,
} from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import {
  apply,
  float,
  integer,
  iterator,
  iterators,
  load,
  scalarKey,
  substituteIterators,
} from '../graph/scalar.ts';
import { readsOf } from '../graph/uses.ts';
import { createInterner } from './expressions/interner.ts';
import { boundsOf, greatestId, inLoopsFirst, loopCounts, product } from './nodes.ts';
import { type Simplifier, simplifierOf } from './simplify.ts';

/** Of fewer, attention may be better off going through parts of the positions, each with workgroups. */
const fewestRows = 2048;

/** @param fewest rows of those that are joined */
export function joinSoftmax(graph: Graph, fewest = fewestRows): Graph {
  let nextId = greatestId(graph) + 1;
  const newTensor: NewTensor = (name, shape) => ({ id: nextId++, name, dtype: 'f32', shape });
  return inLoopsFirst(graph, (inner, outer) => {
    let { nodes } = inner;
    for (const weighted of nodes.filter(isWeighted).filter((each) => rowsOf(each) >= fewest)) {
      const simplify = simplifierOf(boundsOf(weighted, loopCounts(outer)), createInterner());
      const total = nodes.filter(isTotal).find((each) => areOfSame(weighted, each, simplify));
      if (total !== undefined) nodes = joined(nodes, weighted, total, newTensor) ?? nodes;
    }
    return { ...inner, nodes };
  });
}

type NewTensor = (name: string, shape: readonly number[]) => Tensor;
type PartialNode = SoftmaxSumNode & { readonly partial: PartialSoftmax };

function isWeighted(node: Node): node is SoftmaxSumNode {
  return node.kind === 'softmaxSum' && node.partial === undefined && node.valueAxes.length > 0;
}

function isTotal(node: Node): node is PartialNode {
  if (node.kind !== 'softmaxSum' || node.partial === undefined || node.visible !== undefined) return false;
  return node.value.op === 'constant' && node.value.value === 1 && node.valueAxes.length === 0;
}

function rowAxes({ result, valueAxes }: SoftmaxSumNode): readonly number[] {
  return result.shape.map((_, axis) => axis).filter((axis) => !valueAxes.includes(axis));
}

function rowsOf(node: SoftmaxSumNode): number {
  return product(rowAxes(node).map((axis) => node.result.shape[axis]!));
}

/** Of the axes along which there is more than one place. */
function several(axes: readonly number[], { shape }: Tensor): readonly number[] {
  return axes.filter((axis) => shape[axis] !== 1);
}

/** Whether rows are the same, in the same order, and what they see, and the logits of that. */
function areOfSame(weighted: SoftmaxSumNode, total: PartialNode, simplify: Simplifier): boolean {
  const [own, others] = [several(rowAxes(weighted), weighted.result), several(rowAxes(total), total.result)];
  const extents = [
    [...own.map((axis) => weighted.result.shape[axis]), weighted.extent, ...weighted.scoreExtents],
    [...others.map((axis) => total.result.shape[axis]), total.extent, ...total.scoreExtents],
  ];
  if (extents[0]!.join() !== extents[1]!.join()) return false;
  const [rank, otherRank] = [weighted.result.shape.length, total.result.shape.length];
  const moved = (scalar: Scalar) =>
    substituteIterators(scalar, (axis) => {
      if (axis >= otherRank) return iterator(axis - otherRank + rank);
      return others.includes(axis) ? iterator(own[others.indexOf(axis)]!) : integer(0);
    });
  const isSame = (one: Scalar, other: Scalar) => scalarKey(simplify(one)) === scalarKey(simplify(other));
  const { visible, logit } = weighted;
  const seen = withoutHidden(moved(total.logit));
  const areSeen =
    visible === undefined ? seen.visible === undefined : seen.visible && isSame(seen.visible, visible);
  return isSame(moved(total.scoreBody), weighted.scoreBody) && areSeen === true && isSame(seen.logit, logit);
}

/** What logits are −∞ but where it holds, if they are, and what they are there. */
function withoutHidden(logit: Scalar): { readonly visible: Scalar | undefined; readonly logit: Scalar } {
  if (logit.op !== 'apply' || logit.function !== 'select') return { visible: undefined, logit };
  const [visible, seen, otherwise] = logit.operands as [Scalar, Scalar, Scalar];
  return isLowest(otherwise) ? { visible, logit: seen } : { visible: undefined, logit };
}

function isLowest(scalar: Scalar): boolean {
  if (scalar.op === 'constant') return scalar.value === Number.NEGATIVE_INFINITY;
  if (scalar.op !== 'apply' || scalar.function !== 'neg') return false;
  const [of] = scalar.operands;
  return of?.op === 'constant' && of.value === Number.POSITIVE_INFINITY;
}

/** Undefined where somebody reads one of them before what the other is made of is there. */
function joined(
  nodes: readonly Node[],
  weighted: SoftmaxSumNode,
  total: PartialNode,
  newTensor: NewTensor,
): readonly Node[] | undefined {
  const { shape, name } = weighted.result;
  const rows = rowAxes(weighted);
  const extents = rows.map((axis) => shape[axis]!);
  const partial: PartialSoftmax = {
    top: newTensor(`${name}_top`, extents),
    total: newTensor(`${name}_total`, extents),
    lowest: total.partial.lowest,
  };
  const both: SoftmaxSumNode = { ...weighted, result: newTensor(`${name}_sums`, shape), partial };
  const left = nodes.filter((node) => node !== weighted && node !== total);
  const given = new Set([weighted, total].flatMap(results).map(({ id }) => id));
  const isAmong = (tensors: ReadonlySet<TensorId>, of: ReadonlySet<TensorId>) =>
    [...tensors].some((tensor) => of.has(tensor));
  const needed = readsOf(both);
  const from = 1 + left.findLastIndex((node) => isAmong(new Set(results(node).map(({ id }) => id)), needed));
  const to = left.findIndex((node) => isAmong(readsOf(node), given));
  if (to >= 0 && to < from) return undefined;

  const ofRow = load(partial.total, rows.map(iterator));
  const sums = load(both.result, iterators(shape.length));
  const quotient = apply('div', sums, ofRow);
  const isNone = apply('eq', ofRow, float(0));
  const divided = weighted.visible === undefined ? quotient : apply('select', isNone, float(0), quotient);
  const own = several(rowAxes(total), total.result);
  const place = several(rows, weighted.result);
  /** What the joined node has of each row, as the other one had it. */
  const asBefore = (result: Tensor, from: Tensor): Node =>
    mapTo(
      result,
      load(
        from,
        rows.map((axis) => (place.includes(axis) ? iterator(own[place.indexOf(axis)]!) : integer(0))),
      ),
    );
  return [
    ...left.slice(0, from),
    both,
    mapTo(weighted.result, divided),
    asBefore(total.partial.top, partial.top),
    asBefore(total.partial.total, partial.total),
    asBefore(total.result, partial.total),
    ...left.slice(from),
  ];
}

function mapTo(result: Tensor, body: Scalar): Node {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}
