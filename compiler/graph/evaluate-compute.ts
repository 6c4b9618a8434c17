/** The reference evaluator's comprehensions: maps, reductions, and the softmax-weighted sum. */
import type { Storage, Strided } from './algebra.ts';
import { compileScalars, type Frame, type ScalarCompiler, type Slot } from './compile-scalar.ts';
import type { Arithmetic, Combiner, ComputeNode, PartialSoftmax, Scalar, SoftmaxSumNode } from './graph.ts';
import { integerOperation } from './integers.ts';
import { roundTo } from './rounding.ts';
import { type Load, scalarType, subexpressions } from './scalar.ts';
import { isFloat, stridesOf } from './tensor-type.ts';
import { nodeScalars } from './uses.ts';

/**
 * Runs the node; `result` has fresh elements each time. Axes of the frame are the output's, then the reduced
 * ones.
 */
export function computeCode<V>(node: ComputeNode, result: Slot<V>, frame: Frame<V>): () => void {
  const compiler = compileScalars(frame, nodeScalars(node));
  const { reduce } = node;
  const rank = node.result.shape.length;
  const outputAxes = span(0, rank);
  if (reduce === undefined) return storing(node.body, outputAxes, result, frame, compiler);
  const reducedAxes = span(rank, reduce.extents.length);
  const reduction = reductionCode(reduce.combiner, node.body, reducedAxes, frame, compiler);
  const finish: Scalar = reduce.finish ?? { op: 'reduced', dtype: reducedType(reduce.combiner, node.body) };
  return storing(finish, outputAxes, result, frame, compiler, reduction);
}

function reducedType(combiner: Combiner, body: Scalar): Arithmetic {
  return combiner === 'argmax' || combiner === 'argmin' ? 'i32' : scalarType(body);
}

function span(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, position) => first + position);
}

/** Runs `inner` at every point of the axes, the last one fastest. */
function nest<V>(frame: Frame<V>, over: readonly number[], inner: () => void): () => void {
  const { axes, extents } = frame;
  return over.reduceRight((run, axis) => {
    const extent = extents[axis]!;
    return () => {
      for (let value = 0; value < extent; value++) {
        axes[axis] = value;
        run();
      }
    };
  }, inner);
}

const nothingBefore = (): void => {};

/**
 * Stores the value, rounded to the result's dtype, at each point of all its axes; does `before` at each
 * first.
 */
function storing<V>(
  scalar: Scalar,
  outputAxes: readonly number[],
  result: Slot<V>,
  frame: Frame<V>,
  compiler: ScalarCompiler<V>,
  before: () => void = nothingBefore,
): () => void {
  const { dtype } = result.tensor;
  const store = isFloat(result.tensor) ? storingFloat() : storingNumber();
  let offset = 0;
  const run = nest(frame, outputAxes, () => {
    frame.point++;
    before();
    frame.point++;
    store();
    offset++;
  });
  return () => {
    offset = 0;
    run();
  };

  function storingFloat(): () => void {
    const value = compiler.float(scalar);
    const { round } = frame.algebra;
    return () => {
      result.floats[offset] = round(dtype, value());
    };
  }

  function storingNumber(): () => void {
    const value = compiler.number(scalar);
    return () => {
      result.numbers[offset] = roundTo(dtype, value());
    };
  }
}

// ── reductions ─────────────────────────────────────────────────────────────────────────────────────────────

const pointwise = { sum: 'add', prod: 'mul', max: 'max', min: 'min', any: 'or', all: 'and' } as const;
type PlainCombiner = keyof typeof pointwise;
type FloatCombiner = Exclude<PlainCombiner, 'any' | 'all'>;

/** What a reduction over nothing gives. */
const floatIdentity: { readonly [C in FloatCombiner]: number } = {
  sum: 0,
  prod: 1,
  max: Number.NEGATIVE_INFINITY,
  min: Number.POSITIVE_INFINITY,
};
const integerIdentity: { readonly [C in PlainCombiner]: { readonly i32: number; readonly u32: number } } = {
  sum: { i32: 0, u32: 0 },
  prod: { i32: 1, u32: 1 },
  max: { i32: -(2 ** 31), u32: 0 },
  min: { i32: 2 ** 31 - 1, u32: 2 ** 32 - 1 },
  any: { i32: 0, u32: 0 },
  all: { i32: 1, u32: 1 },
};

/** Leaves the reduction of the body over the axes in the frame. */
function reductionCode<V>(
  combiner: Combiner,
  body: Scalar,
  over: readonly number[],
  frame: Frame<V>,
  compiler: ScalarCompiler<V>,
): () => void {
  if (combiner === 'argmax' || combiner === 'argmin')
    return positionCode(combiner, body, over, frame, compiler);
  if (scalarType(body) !== 'f32') return integerReduction(combiner, body, over, frame, compiler);
  if (combiner === 'any' || combiner === 'all') throw new Error(`${frame.node}: ${combiner} of floats`);
  return floatReduction(combiner, body, over, frame, compiler);
}

function floatReduction<V>(
  combiner: FloatCombiner,
  body: Scalar,
  over: readonly number[],
  frame: Frame<V>,
  compiler: ScalarCompiler<V>,
): () => void {
  const { algebra } = frame;
  const identity = algebra.constant(floatIdentity[combiner]);
  const combine = algebra.functions[pointwise[combiner]];
  const run = (combiner === 'sum' && dotCode(body, over, frame, compiler)) || byElement();
  return () => {
    frame.reducedFloat = identity;
    run();
  };

  function byElement(): () => void {
    const value = compiler.float(body);
    return nest(frame, over, () => {
      frame.point++;
      frame.reducedFloat = combine(frame.reducedFloat, value());
    });
  }
}

/** The sum of products of two loads, a row at a time, where the algebra can do that. */
function dotCode<V>(
  body: Scalar,
  over: readonly number[],
  frame: Frame<V>,
  compiler: ScalarCompiler<V>,
): (() => void) | undefined {
  const { dot } = frame.algebra;
  const innermost = over.at(-1);
  const factors = body.op === 'apply' && body.function === 'mul' ? body.operands : [];
  const [first, second] = factors.filter((factor): factor is Load => factor.op === 'load');
  if (dot === undefined || innermost === undefined || first === undefined || second === undefined)
    return undefined;
  const none: Storage<V> = frame.algebra.createStorage(0);
  const left: Strided<V> = { data: none, offset: 0, stride: 0 };
  const right: Strided<V> = { data: none, offset: 0, stride: 0 };
  const placeLeft = compiler.strided(first, innermost, left);
  const placeRight = compiler.strided(second, innermost, right);
  if (placeLeft === undefined || placeRight === undefined) return undefined;
  const extent = frame.extents[innermost]!;
  return nest(frame, over.slice(0, -1), () => {
    if (extent === 0) return;
    frame.point++;
    placeLeft();
    placeRight();
    frame.reducedFloat = dot(frame.reducedFloat, left, right, extent);
  });
}

function integerReduction<V>(
  combiner: PlainCombiner,
  body: Scalar,
  over: readonly number[],
  frame: Frame<V>,
  compiler: ScalarCompiler<V>,
): () => void {
  const type = scalarType(body) === 'u32' ? 'u32' : 'i32';
  const identity = integerIdentity[combiner][type];
  const combine = integerOperation(pointwise[combiner], type);
  const value = compiler.number(body);
  const run = nest(frame, over, () => {
    frame.point++;
    frame.reducedNumber = combine(frame.reducedNumber, value(), 0, 0);
  });
  return () => {
    frame.reducedNumber = identity;
    run();
  };
}

/** The flat position of the extreme entry, the lowest of equal ones; NaN only where there is nothing else. */
function positionCode<V>(
  combiner: 'argmax' | 'argmin',
  body: Scalar,
  over: readonly number[],
  frame: Frame<V>,
  compiler: ScalarCompiler<V>,
): () => void {
  const { ordered } = frame.algebra;
  const value = ordered && scalarType(body) === 'f32' ? compiler.float(body) : undefined;
  const key = keyCode(body, frame, compiler);
  const sign = combiner === 'argmax' ? 1 : -1;
  let best = Number.NaN;
  let position = 0;
  let values: V[] = [];
  const run = nest(frame, over, () => {
    frame.point++;
    const own = sign * key();
    if (own > best || (Number.isNaN(best) && !Number.isNaN(own))) {
      best = own;
      frame.reducedNumber = position;
    }
    if (value !== undefined) values.push(value());
    position++;
  });
  return () => {
    best = Number.NaN;
    position = 0;
    values = [];
    frame.reducedNumber = 0;
    run();
    for (const [at, other] of values.entries())
      if (at !== frame.reducedNumber) ordered?.(values[frame.reducedNumber]!, other);
  };
}

function keyCode<V>(body: Scalar, frame: Frame<V>, compiler: ScalarCompiler<V>): () => number {
  if (scalarType(body) !== 'f32') return compiler.number(body);
  const value = compiler.float(body);
  return () => frame.algebra.toNumber(value());
}

// ── softmax-weighted sum ───────────────────────────────────────────────────────────────────────────────────

export interface SoftmaxSumSlots<V> {
  readonly result: Slot<V>;
  readonly top: Slot<V> | undefined;
  readonly total: Slot<V> | undefined;
}

/**
 * Runs the node. The weights of a row are computed once for all the value axes. What is hidden is not looked
 * at: its value may be infinite.
 */
export function softmaxSumCode<V>(
  node: SoftmaxSumNode,
  slots: SoftmaxSumSlots<V>,
  frame: Frame<V>,
): () => void {
  const { result } = slots;
  const { algebra, axes } = frame;
  if (node.result.shape.includes(0)) return () => {};
  const { add, sub, mul, div, max, exp } = algebra.functions;
  const compiler = compileScalars(frame, nodeScalars(node));
  const rank = node.result.shape.length;
  const strides = stridesOf(node.result.shape);
  const rowAxes = span(0, rank).filter((axis) => !node.valueAxes.includes(axis));
  const rowStrides = stridesOf(rowAxes.map((axis) => node.result.shape[axis]!));
  const score = reductionCode(
    'sum',
    node.scoreBody,
    span(rank + 1, node.scoreExtents.length),
    frame,
    compiler,
  );
  const logit = compiler.float(node.logit);
  const value = compiler.float(node.value);
  const visible = node.visible && compiler.number(node.visible);
  const scoreFirst = node.visible !== undefined && usesReduced(node.visible);
  const isVisible = (): boolean => visible === undefined || visible() !== 0;
  const zero = algebra.constant(0);

  let seen: number[] = [];
  let weights: V[] = [];
  const gatherLogits = nest(frame, [rank], () => {
    frame.point++;
    if (!scoreFirst && !isVisible()) return;
    score();
    frame.point++;
    if (scoreFirst && !isVisible()) return;
    seen.push(axes[rank]!);
    weights.push(logit());
  });
  const sumValues = nest(frame, node.valueAxes, () => {
    let sum = zero;
    for (const [position, streamed] of seen.entries()) {
      axes[rank] = streamed;
      frame.point++;
      sum = add(sum, mul(weights[position]!, value()));
    }
    const offset = strides.reduce((total, stride, axis) => total + stride * axes[axis]!, 0);
    result.floats[offset] = algebra.round(node.result.dtype, sum);
  });
  return nest(frame, rowAxes, () => {
    seen = [];
    weights = [];
    gatherLogits();
    weights = node.partial === undefined ? softmax(weights) : partSoftmax(weights, node.partial);
    sumValues();
  });

  function partSoftmax(logits: readonly V[], { lowest, top, total }: PartialSoftmax): V[] {
    const greatest = logits.reduce((left, right) => max(left, right), algebra.constant(lowest));
    const powers = logits.map((own) => exp(sub(own, greatest)));
    const row = rowStrides.reduce((offset, stride, place) => offset + stride * axes[rowAxes[place]!]!, 0);
    slots.top!.floats[row] = algebra.round(top.dtype, greatest);
    slots.total!.floats[row] = algebra.round(
      total.dtype,
      powers.reduce((left, right) => add(left, right), zero),
    );
    return powers;
  }

  function softmax(logits: readonly V[]): V[] {
    if (logits.length === 0) return [];
    const greatest = logits.reduce((left, right) => max(left, right));
    const powers = logits.map((own) => exp(sub(own, greatest)));
    const total = powers.reduce((left, right) => add(left, right));
    return powers.map((power) => div(power, total));
  }
}

function usesReduced(scalar: Scalar): boolean {
  return subexpressions(scalar).some((part) => part.op === 'reduced');
}
