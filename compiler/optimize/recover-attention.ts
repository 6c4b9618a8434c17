/**
 * Softmax-weighted sums become one streaming node. Over the axes of the sum and the streamed axis u, the
 * pattern is
 *
 *     top    = max u: select(visible, x, −inf)
 *     total  = sum u: select(visible, exp(x − top), 0)
 *     p      = select(visible, exp(x − top) / total, 0)        guarded or not for rows that see nothing
 *     result = sum u: p · value                                with any finish
 *
 * however the parts are cut into nodes: maps between are unfolded first. x is any expression; where it is
 * computed from a sum that nothing else reads, that sum becomes the score, which is then never stored. So it
 * does where others read it, as a gradient does, if that is a product that is large beside its factors: they
 * make it again. Where anything else reads p it is stored anyway, and the sum stays as it is.
 */
import type { ComputeNode, Graph, Node, Scalar, SoftmaxSumNode, Tensor, TensorId } from '../graph/graph.ts';
import {
  apply,
  boolean,
  float,
  iterator,
  iterators,
  iteratorsOf,
  type Load,
  load,
  loadsOf,
  mapScalar,
  reduced,
  substituteIterators,
  substituteLoads,
} from '../graph/scalar.ts';
import { type Use, uses } from '../graph/uses.ts';
import { contractionOf, factorsOf, product as productOf } from './contraction.ts';
import { createInterner } from './expressions/interner.ts';
import { asStored, inlineInScalar } from './inline.ts';
import { boundsOf, greatestId, inLoopsFirst, loopCounts, product } from './nodes.ts';
import { type Simplifier, simplifierOf } from './simplify.ts';
import { workOf } from './work.ts';

export function recoverAttention(graph: Graph): Graph {
  const readers = uses(graph);
  let nextId = greatestId(graph) + 1;
  return inLoopsFirst(graph, (inner, outer) => {
    const definitions = new Map<TensorId, ComputeNode>();
    const nodes = inner.nodes.flatMap((node): readonly Node[] => {
      if (node.kind !== 'compute') return [node];
      definitions.set(node.result.id, node);
      const interner = createInterner();
      const simplifier = simplifierOf(boundsOf(node, loopCounts(outer)), interner);
      const found = recovered(node, { definitions, readers, simplify: simplifier });
      const finish = node.reduce?.finish;
      // Rounding to the type of the result is what storing does.
      if (found === undefined || finish === undefined || finish.op === 'reduced') return [found ?? node];
      const result: Tensor = { ...node.result, id: nextId++, dtype: 'f32' };
      return [{ ...found, result }, mapOf(node, load(result, iterators(result.shape.length)))];
    });
    return { ...inner, nodes };
  });
}

/** The reduction's finish, of a value that is there. */
export function mapOf(node: ComputeNode, value: Scalar): ComputeNode {
  const finish = node.reduce?.finish ?? reduced('f32');
  const body = mapScalar(finish, (part) => (part.op === 'reduced' ? value : part));
  return { ...node, body, reduce: undefined };
}

/**
 * Weights as few as these, of logits that are there already, are stored as well: those of a token's chosen
 * experts. A streaming kernel has a row an invocation, which must be worth its while.
 */
const fewWeights = 16;

export function isWorthStreaming(scoreExtents: readonly number[], weights: number): boolean {
  return scoreExtents.length > 0 || weights > fewWeights;
}

export interface Surroundings {
  readonly definitions: ReadonlyMap<TensorId, ComputeNode>;
  readonly readers: ReadonlyMap<TensorId, readonly Use[]>;
  /** Normal form over the sum's axes: equal expressions are the same object. */
  readonly simplify: Simplifier;
}

function recovered(node: ComputeNode, around: Surroundings): SoftmaxSumNode | undefined {
  const { reduce, result } = node;
  if (reduce?.combiner !== 'sum' || reduce.extents.length !== 1) return undefined;
  const streamed = result.shape.length;
  const factors = factorsOf(node.body);
  for (const weight of factors) {
    const others = factors.filter((factor) => factor !== weight);
    if (weight.op !== 'load' || others.length !== factors.length - 1 || others.length === 0) continue;
    const map = around.definitions.get(weight.tensor);
    if (map === undefined || map.reduce !== undefined || map.result.dtype !== 'f32') continue;
    if (around.readers.get(weight.tensor)?.length !== 1) continue;
    const softmax = softmaxOf(inlineInScalar(weight, map), streamed, around);
    if (softmax === undefined) continue;
    const readers = new Set([...softmax.parts, weight.tensor]);
    const { scoreBody, scoreExtents, logit } = scoreOf(softmax.x, streamed, readers, around);
    if (!isWorthStreaming(scoreExtents, reduce.extents[0]!)) continue;
    const used = new Set(
      [scoreBody, logit, softmax.visible ?? boolean(true)].flatMap((scalar) => [...iteratorsOf(scalar)]),
    );
    return {
      kind: 'softmaxSum',
      result,
      extent: reduce.extents[0]!,
      scoreExtents,
      scoreBody,
      logit,
      visible: softmax.visible,
      value: productOf(others),
      valueAxes: result.shape.map((_, axis) => axis).filter((axis) => !used.has(axis)),
    };
  }
  return undefined;
}

// ── the softmax ────────────────────────────────────────────────────────────────────────────────────────────

interface Softmax {
  /** The largest logit and the sum of exponentials. */
  readonly parts: readonly TensorId[];
  readonly x: Scalar;
  readonly visible: Scalar | undefined;
}

/** What `weight` is the softmax of along axis `streamed`; in normal form. */
function softmaxOf(weight: Scalar, streamed: number, around: Surroundings): Softmax | undefined {
  const guarded = chosen(around.simplify(unfolded(weight, around)), 0);
  const quotient = guarded.value;
  if (quotient.op !== 'apply' || quotient.function !== 'div') return undefined;
  const numerator = chosen(quotient.operands[0]!, 0);
  const exponential = numerator.value;
  if (exponential.op !== 'apply' || exponential.function !== 'exp') return undefined;
  const difference = exponential.operands[0]!;
  if (difference.op !== 'apply' || difference.function !== 'sub') return undefined;
  const [x, topOf] = difference.operands as [Scalar, Scalar];
  const top = reductionBehind(topOf, 'max', streamed, around);
  const total = reductionBehind(quotient.operands[1]!, 'sum', streamed, around);
  if (top === undefined || total === undefined) return undefined;
  const conditions = [...guarded.conditions, ...numerator.conditions].filter(
    (condition) => !isGuard(condition, total.load) && !isGuard(condition, top.load),
  );
  const visible = conditions.length === 0 ? undefined : around.simplify(conjunction(conditions));
  const masked = (value: Scalar, hidden: number) =>
    around.simplify(visible === undefined ? value : apply('select', visible, value, float(hidden)));
  const isTop = top.body === masked(x, Number.NEGATIVE_INFINITY);
  const isTotal = total.body === masked(exponential, 0);
  const parts = [top.load.tensor, total.load.tensor];
  return isTop && isTotal ? { parts, x, visible } : undefined;
}

/** `select(c, value, otherwise)` taken apart: the conditions under which the expression is `value`. */
export function chosen(scalar: Scalar, otherwise: number) {
  const conditions: Scalar[] = [];
  const isOther = (part: Scalar) => part.op === 'constant' && part.value === otherwise;
  let value = scalar;
  while (value.op === 'apply' && value.function === 'select') {
    const [condition, then, rest] = value.operands as [Scalar, Scalar, Scalar];
    if (isOther(rest)) {
      conditions.push(...conjuncts(condition));
      value = then;
    } else if (isOther(then)) {
      conditions.push(apply('not', condition));
      value = rest;
    } else break;
  }
  return { value, conditions };
}

function conjuncts(condition: Scalar): readonly Scalar[] {
  return condition.op === 'apply' && condition.function === 'and'
    ? condition.operands.flatMap(conjuncts)
    : [condition];
}

export function conjunction(conditions: readonly Scalar[]): Scalar {
  const [first, ...rest] = new Set(conditions);
  return rest.reduce((left, right) => apply('and', left, right), first!);
}

/** Conditions on the total or the top alone guard against rows that see nothing, which give zero anyway. */
function isGuard(condition: Scalar, load: Load): boolean {
  const loads = loadsOf(condition);
  return loads.some((part) => part === load) && workOf(condition).floatLoads === 1;
}

/** The reduction along `streamed` that a load reads, also from behind a guard, over the axes of the load. */
function reductionBehind(scalar: Scalar, combiner: 'max' | 'sum', streamed: number, around: Surroundings) {
  for (const load of loadsOf(scalar)) {
    const node = around.definitions.get(load.tensor);
    if (node?.reduce?.combiner !== combiner || node.reduce.extents.length !== 1) continue;
    if (node.reduce.finish !== undefined || node.result.dtype !== 'f32') continue;
    if (!isOrGuards(scalar, load) || load.subscripts.some((part) => iteratorsOf(part).has(streamed)))
      continue;
    const rank = node.result.shape.length;
    const body = substituteIterators(node.body, (axis) =>
      axis === rank ? iterator(streamed) : load.subscripts[axis]!,
    );
    return { load, body: around.simplify(unfolded(body, around)) };
  }
  return undefined;
}

/** The load itself, or a choice between it and a constant by a condition on it. */
function isOrGuards(scalar: Scalar, load: Load): boolean {
  if (scalar === load) return true;
  if (scalar.op !== 'apply' || scalar.function !== 'select') return false;
  const [condition, then, otherwise] = scalar.operands as [Scalar, Scalar, Scalar];
  if (!isGuard(condition, load)) return false;
  return (then === load && otherwise.op === 'constant') || (otherwise === load && then.op === 'constant');
}

/**
 * With the maps that it loads from unfolded, and theirs: all that is left are inputs, reductions and other
 * nodes.
 */
export function unfolded(scalar: Scalar, { definitions }: Surroundings): Scalar {
  let current = scalar;
  for (;;) {
    const map = loadsOf(current)
      .map((load) => definitions.get(load.tensor))
      .find((node) => node !== undefined && node.reduce === undefined);
    if (map === undefined) return current;
    current = inlineInScalar(current, map);
  }
}

// ── the score ──────────────────────────────────────────────────────────────────────────────────────────────

/** x as a function of a sum that only this softmax reads, or that is soon made again, or of itself. */
export function scoreOf(x: Scalar, streamed: number, softmax: ReadonlySet<TensorId>, around: Surroundings) {
  const { definitions, simplify } = around;
  const sums = loadsOf(x).flatMap((load) => {
    const node = definitions.get(load.tensor);
    return node?.reduce?.combiner === 'sum' && node.body.op === 'apply' ? [{ load, node }] : [];
  });
  const [sum] = sums;
  const isOfStream = sum?.load.subscripts.some((part) => iteratorsOf(part).has(streamed));
  const isOwn = sum && (feedsOnly(sum.node, softmax, around) || (isOfStream && isSoonMade(sum.node)));
  if (sum === undefined || sums.length > 1 || !isOwn)
    return { scoreBody: x, scoreExtents: [], logit: reduced('f32') };
  const { load, node } = sum;
  const { extents, finish } = node.reduce!;
  const rank = node.result.shape.length;
  const moved = (scalar: Scalar) =>
    substituteIterators(scalar, (axis) =>
      axis < rank ? load.subscripts[axis]! : iterator(streamed + 1 + axis - rank),
    );
  const score = asStored(node.result, finish === undefined ? reduced('f32') : moved(finish));
  return {
    scoreBody: moved(node.body),
    scoreExtents: extents,
    logit: simplify(substituteLoads(x, (part) => (part === load ? score : part))),
  };
}

/** Terms of a sum of products that is computed a second time rather than stored and read. */
const mostTermsAgain = 256;
/** Elements of such a sum, at least, for each of the factors that it is made of. */
const leastGrowth = 4;

/** Whether a product is so much larger than its factors that others who read it are better off without it. */
function isSoonMade(node: ComputeNode): boolean {
  const contraction = contractionOf(node);
  if (contraction === undefined || node.grouped !== undefined) return false;
  const terms = product(node.reduce!.extents);
  const extents = [...node.result.shape, ...node.reduce!.extents];
  const elements = [contraction.left, contraction.right].map((factor) =>
    product([...iteratorsOf(factor)].map((axis) => extents[axis]!)),
  );
  const read = elements.reduce((total, each) => total + each, 0);
  return terms <= mostTermsAgain && product(node.result.shape) >= leastGrowth * read;
}

/** Whether all that reads the node, maps between followed, are these tensors' nodes. */
function feedsOnly(node: ComputeNode, allowed: ReadonlySet<TensorId>, around: Surroundings): boolean {
  const readers = around.readers.get(node.result.id) ?? [];
  return readers.every((use) => {
    if (use.kind !== 'node' || use.node.kind !== 'compute') return false;
    const reader = use.node;
    if (allowed.has(reader.result.id)) return true;
    return reader.reduce === undefined && feedsOnly(reader, allowed, around);
  });
}
