/**
 * Expressions of tile programs: the graph's scalars with other leaves. Constructors fold constants, and know
 * the range of integers, so that index arithmetic written plainly comes out short.
 */
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import { greatestCommonDivisor } from '../../dsl/types/size.ts';
import type { Arithmetic, LoopId, TensorId } from '../graph/graph.ts';

export type TileExpression =
  | { readonly op: 'constant'; readonly dtype: Arithmetic; readonly value: number }
  /** The workgroup's place along a grid axis, in [0, extent). */
  | { readonly op: 'grid'; readonly axis: number; readonly extent: number }
  /** A loop's variable: in `range`, a multiple of `multipleOf`. */
  | {
      readonly op: 'variable';
      readonly name: string;
      readonly range: Interval;
      readonly multipleOf: number;
    }
  /** Where in the tile being computed (or stored) an element is, in [0, extent). */
  | { readonly op: 'coordinate'; readonly axis: number; readonly extent: number }
  | { readonly op: 'counter'; readonly loop: LoopId }
  /** The device's own place along a mesh axis, or a size in the run at hand: in [0, devices). */
  | { readonly op: 'device'; readonly axis: string; readonly devices: number }
  | {
      readonly op: 'element';
      readonly tile: string;
      readonly dtype: Arithmetic;
      readonly subscripts: readonly TileExpression[];
    }
  /**
   * `tensor[offset]`, row-major, in its arithmetic type. `range` where it is known of an integer.
   * Out-of-range offsets may occur only where a `select` discards the value, or a `mask` the store.
   */
  | {
      readonly op: 'load';
      readonly tensor: TensorId;
      readonly dtype: Dtype;
      readonly offset: TileExpression;
      readonly range?: Interval;
    }
  | {
      readonly op: 'apply';
      readonly function: ScalarFunction;
      readonly dtype: Arithmetic;
      readonly operands: readonly TileExpression[];
    }
  | { readonly op: 'convert'; readonly dtype: Arithmetic; readonly operand: TileExpression }
  | { readonly op: 'round'; readonly dtype: Dtype; readonly operand: TileExpression };

export type ExpressionOf<Op extends TileExpression['op']> = TileExpression & { readonly op: Op };

/** Both ends included. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** What any i32 may be. */
const anyInteger: Interval = { low: -(2 ** 31), high: 2 ** 31 - 1 };

export function arithmeticOf(expression: TileExpression): Arithmetic {
  switch (expression.op) {
    case 'constant':
    case 'element':
    case 'apply':
    case 'convert':
      return expression.dtype;
    case 'grid':
    case 'variable':
    case 'coordinate':
    case 'counter':
    case 'device':
      return 'i32';
    case 'load':
    case 'round':
      return arithmeticOfDtype(expression.dtype);
  }
}

export function arithmeticOfDtype(dtype: Dtype): Arithmetic {
  return dtypeFacts[dtype].arithmetic;
}

/** The values an integer expression can have; unknown ones have `anyInteger`. */
export function intervalOf(expression: TileExpression): Interval {
  const known = intervals.get(expression);
  if (known !== undefined) return known;
  const found = findInterval(expression);
  intervals.set(expression, found);
  return found;
}

/** Expressions are immutable and shared, so each is looked at once. */
const intervals = new WeakMap<TileExpression, Interval>();

function findInterval(expression: TileExpression): Interval {
  switch (expression.op) {
    case 'constant':
      return { low: expression.value, high: expression.value };
    case 'grid':
    case 'coordinate':
      return { low: 0, high: Math.max(0, expression.extent - 1) };
    case 'variable':
      return expression.range;
    case 'counter':
      return { low: 0, high: anyInteger.high };
    case 'device':
      return { low: 0, high: expression.devices - 1 };
    case 'apply':
      return (
        remainderInterval(expression) ??
        applyInterval(expression.function, expression.operands.map(intervalOf))
      );
    case 'load':
      return expression.range ?? anyInteger;
    case 'element':
    case 'convert':
    case 'round':
      return anyInteger;
  }
}

/** Of a multiple of n modulo m there is no more than m less what divides both. */
function remainderInterval({ function: name, dtype, operands }: ExpressionOf<'apply'>): Interval | undefined {
  const [dividend, divisor] = operands;
  const modulus = divisor && constantValue(divisor);
  if (name !== 'mod' || dtype !== 'i32' || modulus === undefined || modulus <= 0) return undefined;
  return { low: 0, high: modulus - greatestCommonDivisor(factorOf(dividend!), modulus) };
}

function applyInterval(name: ScalarFunction, operands: readonly Interval[]): Interval {
  const [left = anyInteger, right = anyInteger, third = anyInteger] = operands;
  switch (name) {
    case 'add':
      return clampInterval(left.low + right.low, left.high + right.high);
    case 'sub':
      return clampInterval(left.low - right.high, left.high - right.low);
    case 'mul': {
      const corners = [left.low, left.high].flatMap((a) => [a * right.low, a * right.high]);
      return clampInterval(Math.min(...corners), Math.max(...corners));
    }
    case 'neg':
      return clampInterval(-left.high, -left.low);
    case 'floordiv':
      if (right.low !== right.high || right.low <= 0) return anyInteger;
      return { low: Math.floor(left.low / right.low), high: Math.floor(left.high / right.low) };
    case 'mod':
      return right.low > 0 ? { low: 0, high: right.high - 1 } : anyInteger;
    case 'min':
      return { low: Math.min(left.low, right.low), high: Math.min(left.high, right.high) };
    case 'max':
      return { low: Math.max(left.low, right.low), high: Math.max(left.high, right.high) };
    case 'shift_right':
      // Of a word, whatever it is.
      if (right.low !== right.high || right.low < 1 || right.low > 31) return anyInteger;
      return { low: 0, high: 2 ** (32 - right.low) - 1 };
    case 'select':
      return { low: Math.min(right.low, third.low), high: Math.max(right.high, third.high) };
    default:
      return anyInteger;
  }
}

/** An expression that may wrap around may be anything. */
function clampInterval(low: number, high: number): Interval {
  return low < anyInteger.low || high > anyInteger.high ? anyInteger : { low, high };
}

// ── constructors ───────────────────────────────────────────────────────────────────────────────────────────

export function constant(value: number, dtype: Arithmetic = 'i32'): TileExpression {
  return { op: 'constant', dtype, value };
}

export function grid(axis: number, extent: number): TileExpression {
  return extent === 1 ? constant(0) : { op: 'grid', axis, extent };
}

export function coordinate(axis: number, extent: number): TileExpression {
  return extent === 1 ? constant(0) : { op: 'coordinate', axis, extent };
}

/** The same text serves every device, so that only an axis of one device gives a constant. */
export function device(axis: string, devices: number): TileExpression {
  return devices === 1 ? constant(0) : { op: 'device', axis, devices };
}

export function element(
  tile: string,
  dtype: Arithmetic,
  subscripts: readonly TileExpression[],
): TileExpression {
  return { op: 'element', tile, dtype, subscripts };
}

/** @param range of what is stored wherever `offset` is in range: elsewhere it may be anything */
export function load(
  tensor: TensorId,
  dtype: Dtype,
  offset: TileExpression,
  range?: Interval,
): TileExpression {
  return { op: 'load', tensor, dtype, offset, ...(range === undefined ? {} : { range }) };
}

export function apply(
  name: ScalarFunction,
  dtype: Arithmetic,
  ...operands: readonly TileExpression[]
): TileExpression {
  return { op: 'apply', function: name, dtype, operands };
}

/** Integer sum of any number of terms. */
export function sum(...terms: readonly TileExpression[]): TileExpression {
  const known = terms.reduce((total, term) => total + (constantValue(term) ?? 0), 0);
  const unknown = terms.filter((term) => constantValue(term) === undefined);
  const [first, ...rest] = known === 0 && unknown.length > 0 ? unknown : [...unknown, constant(known)];
  if (first === undefined) return constant(0);
  return rest.reduce((total, term) => apply('add', 'i32', total, term), first);
}

export function difference(left: TileExpression, right: TileExpression): TileExpression {
  const [a, b] = [constantValue(left), constantValue(right)];
  if (a !== undefined && b !== undefined) return constant(a - b);
  return b === 0 ? left : apply('sub', 'i32', left, right);
}

export function product(left: TileExpression, right: TileExpression): TileExpression {
  const [a, b] = [constantValue(left), constantValue(right)];
  if (a !== undefined && b !== undefined) return constant(a * b);
  if (a === 0 || b === 0) return constant(0);
  if (a === 1) return right;
  if (b === 1) return left;
  return apply('mul', 'i32', left, right);
}

/** Rounded towards minus infinity; `divisor` > 0. */
export function quotient(dividend: TileExpression, divisor: number): TileExpression {
  const value = constantValue(dividend);
  if (value !== undefined) return constant(Math.floor(value / divisor));
  if (divisor === 1) return dividend;
  const { low, high } = intervalOf(dividend);
  const [first, last] = [Math.floor(low / divisor), Math.floor(high / divisor)];
  if (first === last) return constant(first);
  const split = byMultiples(dividend, divisor);
  if (split === undefined) return apply('floordiv', 'i32', dividend, constant(divisor));
  const exact = split.multiples.filter((term) => factorOf(term) % divisor === 0);
  const others = split.multiples.filter((term) => factorOf(term) % divisor !== 0);
  const above = sum(...others);
  return sum(
    ...exact.map((term) => exactQuotient(term, divisor)),
    constantValue(above) === 0 ? above : apply('floordiv', 'i32', above, constant(divisor)),
  );
}

/** In [0, divisor). */
export function remainder(dividend: TileExpression, divisor: number): TileExpression {
  const value = constantValue(dividend);
  if (value !== undefined) return constant(value - Math.floor(value / divisor) * divisor);
  if (divisor === 1) return constant(0);
  const { low, high } = intervalOf(dividend);
  if (low >= 0 && high < divisor) return dividend;
  const finer = remainderBy(dividend, divisor);
  if (finer !== undefined) return remainder(finer, divisor);
  const split = byMultiples(dividend, divisor);
  if (split === undefined) return apply('mod', 'i32', dividend, constant(divisor));
  const whole = split.multiples.filter((term) => factorOf(term) % divisor !== 0);
  if (whole.length === 0) return split.rest;
  return sum(apply('mod', 'i32', sum(...whole), constant(divisor)), split.rest);
}

/**
 * An integer sum as terms that are multiples of some n, and a rest from 0 to n − 1 that therefore reaches no
 * other multiple of the divisor, which n divides. Undefined where it does not come apart so.
 */
function byMultiples(
  dividend: TileExpression,
  divisor: number,
): { readonly multiples: readonly TileExpression[]; readonly rest: TileExpression } | undefined {
  // What wraps around is no sum.
  if (intervalOf(dividend) === anyInteger) return undefined;
  const terms = termsOf(dividend);
  const common = terms.map((term) => greatestCommonDivisor(factorOf(term), divisor));
  const steps = [...new Set(common)].filter((step) => step > 1).sort((left, right) => right - left);
  for (const step of steps) {
    const rest = sum(...terms.filter((_, at) => common[at]! % step !== 0));
    const { low, high } = intervalOf(rest);
    const multiples = terms.filter((_, at) => common[at]! % step === 0);
    if (low >= 0 && high < step) return { multiples, rest };
  }
  return undefined;
}

function termsOf(expression: TileExpression): readonly TileExpression[] {
  const isSum = expression.op === 'apply' && expression.function === 'add' && expression.dtype === 'i32';
  return isSum ? expression.operands.flatMap(termsOf) : [expression];
}

/** What an integer is known to be a multiple of. */
function factorOf(expression: TileExpression): number {
  if (expression.op === 'constant') return expression.value;
  if (expression.op === 'variable') return expression.multipleOf;
  if (expression.op === 'apply' && expression.function === 'mul' && expression.dtype === 'i32')
    return expression.operands.reduce((factor, operand) => factor * factorOf(operand), 1);
  return 1;
}

/** Of a multiple of the divisor. */
function exactQuotient(term: TileExpression, divisor: number): TileExpression {
  if (term.op === 'apply' && term.function === 'mul') {
    const [left, right] = term.operands as readonly [TileExpression, TileExpression];
    const by = constantValue(right);
    if (by !== undefined && by % divisor === 0) return product(left, constant(by / divisor));
  }
  const value = constantValue(term);
  return value === undefined ? apply('floordiv', 'i32', term, constant(divisor)) : constant(value / divisor);
}

/** Of `x mod n` that is reduced again by a divisor of n: x. */
function remainderBy(expression: TileExpression, divisor: number): TileExpression | undefined {
  if (expression.op !== 'apply' || expression.function !== 'mod' || expression.dtype !== 'i32')
    return undefined;
  const [dividend, by] = expression.operands;
  const modulus = by && constantValue(by);
  return modulus !== undefined && modulus > 0 && modulus % divisor === 0 ? dividend : undefined;
}

/** The same wherever it is in the range, and in the range wherever it is not. */
export function within(expression: TileExpression, { low, high }: Interval): TileExpression {
  return apply('max', 'i32', apply('min', 'i32', expression, constant(high)), constant(low));
}

export function minimum(left: TileExpression, right: TileExpression): TileExpression {
  if (intervalOf(left).high <= intervalOf(right).low) return left;
  if (intervalOf(right).high <= intervalOf(left).low) return right;
  return apply('min', 'i32', left, right);
}

export function maximum(left: TileExpression, right: TileExpression): TileExpression {
  if (intervalOf(left).low >= intervalOf(right).high) return left;
  if (intervalOf(right).low >= intervalOf(left).high) return right;
  return apply('max', 'i32', left, right);
}

/** `left < right`; undefined where it always holds, which is what a mask wants. */
export function below(left: TileExpression, right: TileExpression): TileExpression | undefined {
  return intervalOf(left).high < intervalOf(right).low ? undefined : apply('lt', 'bool', left, right);
}

/** Both; undefined stands for true. */
export function both(
  left: TileExpression | undefined,
  right: TileExpression | undefined,
): TileExpression | undefined {
  if (left === undefined) return right;
  return right === undefined ? left : apply('and', 'bool', left, right);
}

/** `value` where `mask` holds (undefined: everywhere), else `otherwise`. */
export function masked(
  mask: TileExpression | undefined,
  value: TileExpression,
  otherwise: TileExpression,
): TileExpression {
  return mask === undefined ? value : apply('select', arithmeticOf(value), mask, value, otherwise);
}

export function constantValue(expression: TileExpression): number | undefined {
  return expression.op === 'constant' ? expression.value : undefined;
}

/** The coordinates of flat position `flat` of a row-major box. */
export function unflatten(flat: TileExpression, extents: readonly number[]): TileExpression[] {
  let stride = extents.reduce((total, extent) => total * extent, 1);
  return extents.map((extent, axis) => {
    stride /= extent;
    const upper = quotient(flat, stride);
    // The first axis needs no remainder: a flat position past the end is masked anyway.
    return axis === 0 ? upper : remainder(upper, extent);
  });
}

/** The flat offset of `subscripts` in a row-major box. */
export function flatten(subscripts: readonly TileExpression[], extents: readonly number[]): TileExpression {
  let stride = 1;
  const terms: TileExpression[] = [];
  for (let axis = extents.length - 1; axis >= 0; axis--) {
    terms.unshift(product(subscripts[axis]!, constant(stride)));
    stride *= extents[axis]!;
  }
  return sum(...terms);
}

// ── traversal ──────────────────────────────────────────────────────────────────────────────────────────────

export function operandsOf(expression: TileExpression): readonly TileExpression[] {
  switch (expression.op) {
    case 'apply':
      return expression.operands;
    case 'convert':
    case 'round':
      return [expression.operand];
    case 'element':
      return expression.subscripts;
    case 'load':
      return [expression.offset];
    case 'constant':
    case 'grid':
    case 'variable':
    case 'coordinate':
    case 'counter':
    case 'device':
      return [];
  }
}

export function readsMemory(expression: TileExpression): boolean {
  return loadsIn(expression).length > 0;
}

/** What is read from memory for it, each once. */
export function loadsIn(root: TileExpression): readonly Load[] {
  return [...subexpressionsOf(root)].filter((each): each is Load => each.op === 'load');
}

/** All that it is made of, itself included; what is shared once. */
export function subexpressionsOf(root: TileExpression): ReadonlySet<TileExpression> {
  const found = new Set<TileExpression>();
  const visit = (expression: TileExpression): void => {
    if (found.has(expression)) return;
    for (const operand of operandsOf(expression)) visit(operand);
    found.add(expression);
  };
  visit(root);
  return found;
}

export type Load = ExpressionOf<'load'>;

/** The variables of loops in an expression. */
const variables = new WeakMap<TileExpression, ReadonlySet<string>>();

function variablesIn(expression: TileExpression): ReadonlySet<string> {
  const known = variables.get(expression);
  if (known !== undefined) return known;
  const own = expression.op === 'variable' ? [expression.name] : [];
  const found = new Set([...own, ...operandsOf(expression).flatMap((operand) => [...variablesIn(operand)])]);
  variables.set(expression, found);
  return found;
}

export function usesVariable(expression: TileExpression, name: string): boolean {
  return variablesIn(expression).has(name);
}
