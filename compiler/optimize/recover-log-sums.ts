/**
 * Sums of exponentials of a product become one streaming node, as in the cross-entropy over a vocabulary,
 * whose logits are then not stored. Over rows i… and the streamed axis u the pattern is
 *
 *     top   = max u: x                                         or the greatest of all devices' own
 *     total = sum u: exp(x − top)                              with any finish
 *
 * where x is computed from a product that nothing reads but these two, and whoever looks up few of its
 * elements, as the logit of each target. Those are computed again where they are looked up: a row of products
 * for each, beside one for each u. The node gives top and total; what was a reduction becomes a map of them.
 */
import type { Dtype } from '../../dsl/types/dtype.ts';
import type {
  ComputeNode,
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
  iteratorsOf,
  type Load,
  load,
  loadsOf,
  substituteIterators,
  substituteLoads,
} from '../graph/scalar.ts';
import { mapNodeScalars, readsOf, uses } from '../graph/uses.ts';
import { productOfLogits } from './contraction.ts';
import { createInterner } from './expressions/interner.ts';
import { inlineInScalar } from './inline.ts';
import { boundsOf, extentsOf, greatestId, inLoopsFirst, loopCounts, product } from './nodes.ts';
import { mapOf, type Surroundings, scoreOf, unfolded } from './recover-attention.ts';
import { lowestFloat } from './recover-partial-attention.ts';
import { type Simplifier, simplifierOf } from './simplify.ts';

/** Logits that are worth more launches than the product takes. */
const fewestLogits = 1024;
/** Of fewer rows they are little beside the weights that they are computed from. */
const fewestRows = 4;
/** An element of a product in so many may be looked up, and is computed a second time. */
const leastBetweenLookups = 64;

export function recoverLogSums(graph: Graph): Graph {
  let nextId = greatestId(graph) + 1;
  const newTensor: NewTensor = (name, dtype, shape) => ({ id: nextId++, name, dtype, shape });
  return inLoopsFirst(graph, (inner, outer) => {
    let current = inner;
    for (const sum of [...definitionsOf(inner).values()].filter(isLongSum)) {
      const simplify = simplifierOf(boundsOf(sum, loopCounts(outer)), createInterner());
      // Its look-ups may have been taken apart.
      const own = definitionsOf(current).get(sum.result.id)!;
      current = streamed(own, current, simplify, newTensor) ?? current;
    }
    return current;
  });
}

type NewTensor = (name: string, dtype: Dtype, shape: readonly number[]) => Tensor;

function definitionsOf({ nodes }: Graph): ReadonlyMap<TensorId, ComputeNode> {
  return new Map(nodes.flatMap((node) => (node.kind === 'compute' ? [[node.result.id, node] as const] : [])));
}

function isLongSum({ reduce, result }: ComputeNode): boolean {
  if (reduce?.combiner !== 'sum' || reduce.extents.length !== 1 || result.dtype !== 'f32') return false;
  return reduce.extents[0]! >= fewestLogits && product(result.shape) >= fewestRows;
}

function streamed(
  sum: ComputeNode,
  graph: Graph,
  simplify: Simplifier,
  newTensor: NewTensor,
): Graph | undefined {
  const { shape, name } = sum.result;
  const pattern = logSumOf(sum, graph, simplify);
  if (pattern === undefined) return undefined;
  const { top, whole, score, x } = pattern;
  const streams = new Set([top.result.id, sum.result.id]);
  const apart = { ...graph, nodes: withLookupsApart(graph.nodes, score, newTensor) };
  const around = { definitions: definitionsOf(apart), readers: uses(apart), simplify };
  const scored = scoreOf(x, shape.length, streams, around);
  if (scored.scoreExtents.length === 0) return undefined;
  const parts: PartialSoftmax = {
    top: newTensor(`${top.result.name}_part`, 'f32', shape),
    total: newTensor(`${name}_part`, 'f32', shape),
    lowest: lowestFloat,
  };
  const node: SoftmaxSumNode = {
    ...{ kind: 'softmaxSum', result: newTensor(`${name}_sum`, 'f32', shape), ...scored },
    ...{
      extent: sum.reduce!.extents[0]!,
      visible: undefined,
      value: float(1),
      valueAxes: [],
      partial: parts,
    },
  };
  if (productOfLogits(node) === undefined) return undefined;
  const replaced = new Map<TensorId, readonly Node[]>([
    [top.result.id, [node, wholeTop(top, parts)]],
    [sum.result.id, [wholeTotal(around.definitions.get(sum.result.id)!, whole, parts)]],
  ]);
  return { ...apart, nodes: apart.nodes.flatMap((each) => replaced.get(results(each)[0]!.id) ?? [each]) };
}

/** Where no logit is above the lowest, all are −∞: so is their maximum. */
function wholeTop(top: ComputeNode, parts: PartialSoftmax): ComputeNode {
  const own = iterators(top.result.shape.length);
  const isNone = apply('eq', load(parts.total, own), float(0));
  const body = apply('select', isNone, float(Number.NEGATIVE_INFINITY), load(parts.top, own));
  return { ...top, body, reduce: undefined };
}

/** Relative to the whole top, which makes NaN of infinities as the sum does. */
function wholeTotal(sum: ComputeNode, whole: Tensor, parts: PartialSoftmax): ComputeNode {
  const own = iterators(whole.shape.length);
  const kept = apply('exp', apply('sub', load(parts.top, own), load(whole, own)));
  return mapOf(sum, apply('mul', load(parts.total, own), kept));
}

// ── the pattern ────────────────────────────────────────────────────────────────────────────────────────────

interface LogSum {
  readonly top: ComputeNode;
  /** The top, or the greatest of those of all devices. */
  readonly whole: Tensor;
  readonly x: Scalar;
  /** The product that x is computed from. */
  readonly score: ComputeNode;
}

function logSumOf(sum: ComputeNode, graph: Graph, simplify: Simplifier): LogSum | undefined {
  const streamed = sum.result.shape.length;
  const around: Surroundings = { definitions: definitionsOf(graph), readers: new Map(), simplify };
  const exponential = simplify(unfolded(sum.body, around));
  if (exponential.op !== 'apply' || exponential.function !== 'exp') return undefined;
  const [difference] = exponential.operands;
  if (difference?.op !== 'apply' || difference.function !== 'sub') return undefined;
  const [x, topLoad] = difference.operands as [Scalar, Scalar];
  if (topLoad.op !== 'load') return undefined;
  const exchange = graph.nodes.find((node) => node.kind === 'exchange' && node.result.id === topLoad.tensor);
  const isOfDevices =
    exchange?.kind === 'exchange' && exchange.verb === 'all_reduce' && exchange.combiner === 'max';
  const top = around.definitions.get(isOfDevices ? exchange.source : topLoad.tensor);
  if (top?.reduce?.combiner !== 'max' || top.reduce.finish !== undefined) return undefined;
  const isOfSame =
    topLoad.subscripts.every(
      (part, axis) => top.result.shape[axis] === 1 || (part.op === 'iterator' && part.axis === axis),
    ) && `${top.result.shape}; ${top.reduce.extents}` === `${sum.result.shape}; ${sum.reduce!.extents}`;
  if (!isOfSame || simplify(unfolded(top.body, around)) !== x) return undefined;
  const whole = isOfDevices ? exchange.result : top.result;
  const score = loadsOf(x)
    .filter(({ subscripts }) => subscripts.some((part) => iteratorsOf(part).has(streamed)))
    .map(({ tensor }) => around.definitions.get(tensor))
    .find((node) => node?.reduce?.combiner === 'sum' && node.grouped === undefined);
  return score && { top, whole, x, score };
}

// ── what is looked up ──────────────────────────────────────────────────────────────────────────────────────

/**
 * The nodes with each look-up of few elements of the product, through maps of all of it too, as a product of
 * its own before the node.
 */
function withLookupsApart(nodes: readonly Node[], score: ComputeNode, newTensor: NewTensor): readonly Node[] {
  /** Has as many elements as the product: that, and maps of it. */
  const whole = new Map<TensorId, ComputeNode>([[score.result.id, score]]);
  const isRead = (node: Node) => [...readsOf(node)].some((tensor) => whole.has(tensor));
  const size = product(score.result.shape);
  return nodes.flatMap((node): readonly Node[] => {
    if (node.kind !== 'compute' || !isRead(node)) return [node];
    const before: ComputeNode[] = [];
    const extents = extentsOf(node);
    const isLookup = ({ subscripts }: Load) => {
      const axes = new Set(subscripts.flatMap((part) => [...iteratorsOf(part)]));
      return product([...axes].map((axis) => extents[axis]!)) * leastBetweenLookups <= size;
    };
    const apart = (scalar: Scalar): Scalar =>
      substituteLoads(scalar, (read) => {
        const from = whole.get(read.tensor);
        if (from === undefined || !isLookup(read)) return read;
        if (from.reduce === undefined) return apart(inlineInScalar(read, from));
        const { made, value } = lookup(read, from, extents, newTensor);
        before.push(made);
        return value;
      });
    const next = mapNodeScalars(node, apart);
    if (next.reduce === undefined && isRead(next)) whole.set(next.result.id, next);
    return [...before, next];
  });
}

/** The product at the places that are looked up, over the axes that they vary with. */
function lookup(read: Load, score: ComputeNode, extents: readonly number[], newTensor: NewTensor) {
  const axes = [...new Set(read.subscripts.flatMap((part) => [...iteratorsOf(part)]))].sort((a, b) => a - b);
  const rank = score.result.shape.length;
  const { shape } = score.result;
  // A choice around the look-up may be what keeps it in range.
  const places = read.subscripts.map((part, dim) => {
    const place = substituteIterators(part, (axis) => iterator(axes.indexOf(axis)));
    return apply('max', apply('min', place, integer(shape[dim]! - 1)), integer(0));
  });
  const moved = (scalar: Scalar) =>
    substituteIterators(scalar, (axis) => places[axis] ?? iterator(axes.length + axis - rank));
  const { name, dtype } = score.result;
  const { combiner, extents: reduced, finish } = score.reduce!;
  const result = newTensor(
    `${name}_looked_up`,
    dtype,
    axes.map((axis) => extents[axis]!),
  );
  const made: ComputeNode = {
    ...{ kind: 'compute', result, body: moved(score.body), grouped: undefined },
    reduce: { combiner, extents: reduced, finish: finish && moved(finish) },
  };
  return { made, value: load(result, axes.map(iterator)) };
}
