/**
 * One step of attention in pieces becomes one streaming node. A step takes in a block of positions u: over
 * the axes of the weighted sum the pattern is
 *
 *     top      = f(max u: select(visible, x, lowest))
 *     p        = select(visible, exp(x − top), 0)
 *     total    = sum u: p                                      with any finish
 *     weighted = sum u: p · value                              with any finish
 *
 * where f takes the greater of what came before and of what the block has. Neither x nor p is then stored:
 * the node gives the block's own top, total and weighted sum, and what was a reduction becomes a map of
 * these, the sums multiplied by exp(own top − top), which is at most 1. Logits are taken to be above
 * `lowest`.
 */
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
  integer,
  iterator,
  iteratorsOf,
  type Load,
  load,
  substituteIterators,
} from '../graph/scalar.ts';
import { readsOf, uses } from '../graph/uses.ts';
import { factorsOf, product as productOf } from './contraction.ts';
import { createInterner } from './expressions/interner.ts';
import { inlineInScalar } from './inline.ts';
import { boundsOf, greatestId, inLoopsFirst, loopCounts } from './nodes.ts';
import {
  chosen,
  conjunction,
  isWorthStreaming,
  mapOf,
  type Surroundings,
  scoreOf,
  unfolded,
} from './recover-attention.ts';
import { simplifierOf } from './simplify.ts';

export function recoverPartialAttention(graph: Graph): Graph {
  const readers = uses(graph);
  let nextId = greatestId(graph) + 1;
  const newTensor = (name: string, shape: readonly number[]): Tensor => {
    return { id: nextId++, name, dtype: 'f32', shape };
  };
  return inLoopsFirst(graph, (inner, outer) => {
    const definitions = new Map(
      inner.nodes.flatMap((node) => (node.kind === 'compute' ? [[node.result.id, node] as const] : [])),
    );
    let nodes = inner.nodes;
    for (const node of inner.nodes) {
      if (node.kind !== 'compute') continue;
      const simplify = simplifierOf(boundsOf(node, loopCounts(outer)), createInterner());
      const step = stepOf(node, { definitions, readers, simplify });
      if (step !== undefined) nodes = streamed(nodes, step, newTensor) ?? nodes;
    }
    return nodes === inner.nodes ? inner : { ...inner, nodes };
  });
}

interface Step {
  readonly weighted: ComputeNode;
  /** Sums of weights alone. */
  readonly totals: readonly ComputeNode[];
  readonly top: ComputeNode;
  /** Its load, and what weights are relative to, over the axes of the weighted sum. */
  readonly topLoad: Load;
  readonly whole: Scalar;
  readonly lowest: number;
  readonly node: Omit<SoftmaxSumNode, 'partial'>;
}

function stepOf(node: ComputeNode, around: Surroundings): Step | undefined {
  const { reduce, result } = node;
  if (!isSumOverOne(node) || result.dtype !== 'f32' || [...result.shape, reduce!.extents[0]].includes(0))
    return undefined;
  const axis = result.shape.length;
  const factors = factorsOf(node.body);
  for (const weight of factors) {
    const others = factors.filter((factor) => factor !== weight);
    if (weight.op !== 'load' || others.length !== factors.length - 1 || others.length === 0) continue;
    const map = around.definitions.get(weight.tensor);
    if (map === undefined || map.reduce !== undefined || map.result.dtype !== 'f32') continue;
    const totals = sumsOf(weight.tensor, node, around);
    const softmax = totals && partialOf(inlineInScalar(weight, map), axis, around);
    if (totals === undefined || softmax === undefined) continue;
    const { lowest, top, topLoad, visible, whole, x } = softmax;
    const parts = new Set([top.result.id, weight.tensor]);
    const { scoreBody, scoreExtents, logit } = scoreOf(x, axis, parts, around);
    const extent = reduce!.extents[0]!;
    if (!isWorthStreaming(scoreExtents, extent)) continue;
    const used = new Set(
      [scoreBody, logit, ...(visible ? [visible] : [])].flatMap((scalar) => [...iteratorsOf(scalar)]),
    );
    for (const part of iteratorsOf(whole)) used.add(part);
    const valueAxes = result.shape.map((_, own) => own).filter((own) => !used.has(own));
    const value = productOf(others);
    return {
      weighted: node,
      totals,
      top,
      topLoad,
      whole,
      lowest,
      node: { kind: 'softmaxSum', result, extent, scoreExtents, scoreBody, logit, visible, value, valueAxes },
    };
  }
  return undefined;
}

function isSumOverOne({ reduce }: ComputeNode): boolean {
  return reduce?.combiner === 'sum' && reduce.extents.length === 1;
}

/**
 * The nodes that sum the weights alone; undefined where anything but these and the weighted sum reads them.
 */
function sumsOf(
  weights: TensorId,
  weighted: ComputeNode,
  { definitions, readers }: Surroundings,
): readonly ComputeNode[] | undefined {
  const found: ComputeNode[] = [];
  for (const use of readers.get(weights) ?? []) {
    if (use.kind !== 'node' || use.node.kind !== 'compute') return undefined;
    // Readers are those of the graph before any of it was changed.
    const reader = definitions.get(use.node.result.id);
    if (reader === undefined) return undefined;
    if (reader.result.id === weighted.result.id) continue;
    const { body } = reader;
    const isTotal = isSumOverOne(reader) && body.op === 'load' && isPlain(body.subscripts, reader);
    if (!isTotal) return undefined;
    found.push(reader);
  }
  return found;
}

/** Every axis of the node once, in order, the reduced one last. */
function isPlain(subscripts: readonly Scalar[], { result }: ComputeNode): boolean {
  const isInOrder = subscripts.every((part, axis) => {
    // Along an axis of one position the iterator is 0.
    if (part.op === 'constant') return result.shape[axis] === 1;
    return part.op === 'iterator' && part.axis === axis;
  });
  return isInOrder && subscripts.length === result.shape.length + 1;
}

interface Partial {
  readonly x: Scalar;
  readonly visible: Scalar | undefined;
  readonly lowest: number;
  readonly top: ComputeNode;
  readonly topLoad: Load;
  readonly whole: Scalar;
}

/** What `weight` is the part of a softmax of along the axis; in normal form. */
function partialOf(weight: Scalar, axis: number, around: Surroundings): Partial | undefined {
  const { value, conditions } = chosen(around.simplify(unfolded(weight, around)), 0);
  if (value.op !== 'apply' || value.function !== 'exp') return undefined;
  const [difference] = value.operands;
  if (difference?.op !== 'apply' || difference.function !== 'sub') return undefined;
  const [logits, whole] = difference.operands as [Scalar, Scalar];
  if (iteratorsOf(whole).has(axis)) return undefined;
  const topLoad = greaterOf(whole).find((load) => isTop(around.definitions.get(load.tensor)));
  const top = topLoad && around.definitions.get(topLoad.tensor);
  if (topLoad === undefined || top === undefined) return undefined;
  const rank = top.result.shape.length;
  const body = substituteIterators(top.body, (own) =>
    own === rank ? iterator(axis) : topLoad.subscripts[own]!,
  );
  if (around.simplify(unfolded(body, around)) !== logits) return undefined;
  const visible = conditions.length === 0 ? undefined : around.simplify(conjunction(conditions));
  if (visible === undefined) return { x: logits, visible, lowest: lowestFloat, top, topLoad, whole };
  if (logits.op !== 'apply' || logits.function !== 'select') return undefined;
  const [condition, x, hidden] = logits.operands as [Scalar, Scalar, Scalar];
  if (condition !== visible || hidden.op !== 'constant' || !(hidden.value < 0)) return undefined;
  return { x, visible, lowest: Math.max(hidden.value, lowestFloat), top, topLoad, whole };
}

/** Of f32, and finite. */
export const lowestFloat = -(2 - 2 ** -23) * 2 ** 127;

/** Loads that the expression is no less than. */
function greaterOf(scalar: Scalar): readonly Load[] {
  if (scalar.op === 'load') return [scalar];
  return scalar.op === 'apply' && scalar.function === 'max' ? scalar.operands.flatMap(greaterOf) : [];
}

/** Whether it is a maximum over one axis, or no less than that. */
function isTop(node: ComputeNode | undefined): boolean {
  if (node?.reduce?.combiner !== 'max' || node.reduce.extents.length !== 1) return false;
  const { finish } = node.reduce;
  if (finish === undefined) return true;
  const isMaximum = finish.op === 'apply' && finish.function === 'max';
  return isMaximum && finish.operands.some(({ op }) => op === 'reduced');
}

// ── the nodes ──────────────────────────────────────────────────────────────────────────────────────────────

/** Undefined where the values come too late, or what has the top has no axes of its own. */
function streamed(
  nodes: readonly Node[],
  { lowest, node, top, topLoad, totals, weighted, whole }: Step,
  newTensor: (name: string, shape: readonly number[]) => Tensor,
): readonly Node[] | undefined {
  const { shape } = weighted.result;
  const rowAxes = shape.map((_, axis) => axis).filter((axis) => !node.valueAxes.includes(axis));
  const inverse = inverseOf(topLoad.subscripts, top.result.shape, shape, rowAxes);
  if (inverse === undefined) return undefined;
  const rows = rowAxes.map((axis) => shape[axis]!);
  const parts: PartialSoftmax = {
    top: newTensor(`${top.result.name}_block`, rows),
    total: newTensor(`${weighted.result.name}_total`, rows),
    lowest,
  };
  const sums = newTensor(`${weighted.result.name}_block`, shape);
  const partial: SoftmaxSumNode = { ...node, result: sums, partial: parts };
  const at = nodes.findIndex((one) => one.kind === 'compute' && one.result.id === top.result.id);
  const defined = new Set(nodes.slice(at).flatMap((one) => results(one).map(({ id }) => id)));
  if ([...readsOf(partial)].some((tensor) => defined.has(tensor))) return undefined;

  const own = rowAxes.map(iterator);
  const below = (axis: number): Scalar => inverse.get(axis)!;
  /** Over the axes of the top, and of sums of weights alone. */
  const blockOf = (from: Tensor) => load(from, rowAxes.map(below));
  const wholeBelow = substituteIterators(whole, below);
  const kept = (blockTop: Scalar, top: Scalar) => apply('exp', apply('sub', blockTop, top));
  const replaced = new Map<TensorId, Node>([
    [top.result.id, mapOf(top, blockOf(parts.top))],
    [
      weighted.result.id,
      mapOf(
        weighted,
        apply(
          'mul',
          load(
            sums,
            shape.map((_, axis) => iterator(axis)),
          ),
          kept(load(parts.top, own), whole),
        ),
      ),
    ],
    ...totals.map((total): readonly [TensorId, Node] => [
      total.result.id,
      mapOf(total, apply('mul', blockOf(parts.total), kept(blockOf(parts.top), wholeBelow))),
    ]),
  ]);
  return nodes.flatMap((one, position) => {
    const next = replaced.get(results(one)[0]!.id) ?? one;
    return position === at ? [partial, next] : [next];
  });
}

/**
 * Each of the axes in terms of the iterators of what is subscripted: `[i0, i1 * 2 + i2]` gives i0, i1
 * floordiv 2 and i1 mod 2. Undefined where subscripts do not put together all axes, each once.
 */
function inverseOf(
  subscripts: readonly Scalar[],
  shape: readonly number[],
  extents: readonly number[],
  axes: readonly number[],
): ReadonlyMap<number, Scalar> | undefined {
  const found = new Map<number, Scalar>();
  for (const [position, subscript] of subscripts.entries()) {
    const terms = termsOf(subscript)?.toSorted((left, right) => left.factor - right.factor);
    let below = 1;
    for (const { axis, factor } of terms ?? []) {
      if (factor !== below || found.has(axis)) return undefined;
      const whole = apply('floordiv', iterator(position), integer(below));
      found.set(axis, apply('mod', whole, integer(extents[axis]!)));
      below *= extents[axis]!;
    }
    if (terms === undefined || below !== shape[position]) return undefined;
  }
  for (const axis of axes) {
    if (found.has(axis)) continue;
    if (extents[axis] !== 1) return undefined;
    found.set(axis, integer(0));
  }
  return found;
}

interface Term {
  readonly axis: number;
  readonly factor: number;
}

/** A sum of multiples of iterators; undefined for anything else. */
function termsOf(scalar: Scalar): readonly Term[] | undefined {
  if (scalar.op === 'iterator') return [{ axis: scalar.axis, factor: 1 }];
  if (scalar.op === 'constant' && scalar.value === 0) return [];
  if (scalar.op !== 'apply') return undefined;
  const [left, right] = scalar.operands as [Scalar, Scalar];
  if (scalar.function === 'add') {
    const [first, second] = [termsOf(left), termsOf(right)];
    return first && second && [...first, ...second];
  }
  if (scalar.function !== 'mul' || left.op !== 'iterator' || right.op !== 'constant') return undefined;
  return [{ axis: left.axis, factor: right.value }];
}
