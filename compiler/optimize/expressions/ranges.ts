/**
 * Interval analysis of integer and bool expressions, from the extents of the axes and the counts of the
 * loops.
 */
import type { Dtype } from '../../../dsl/types/dtype.ts';
import type { ScalarFunction } from '../../../dsl/types/scalar-functions.ts';
import type { LoopId, Scalar } from '../../graph/graph.ts';
import { operands, subexpressions } from '../../graph/scalar.ts';

/** All integers from `low` to `high`, both included. Bools are 0 and 1. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** What bounds iterators and counters. An axis of extent 0 is never iterated: any range is true of it. */
export interface Bounds {
  readonly extents: readonly number[];
  readonly loops: ReadonlyMap<LoopId, number>;
}

const whole: Interval = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };

const representable: { readonly [D in Dtype]: Interval } = {
  f32: whole,
  bf16: whole,
  f16: whole,
  f8e4m3: whole,
  f8e5m2: whole,
  i32: { low: -(2 ** 31), high: 2 ** 31 - 1 },
  u32: { low: 0, high: 2 ** 32 - 1 },
  i8: { low: -128, high: 127 },
  u8: { low: 0, high: 255 },
  bool: { low: 0, high: 1 },
};

const unknownBool = representable.bool;
const always: Interval = { low: 1, high: 1 };
const never: Interval = { low: 0, high: 0 };

/** The values that the dtype can hold; all reals for floats. */
export function valuesOf(dtype: Dtype): Interval {
  return representable[dtype];
}

export function contains(outer: Interval, inner: Interval): boolean {
  return outer.low <= inner.low && inner.high <= outer.high;
}

export function addIntervals(left: Interval, right: Interval): Interval {
  return { low: left.low + right.low, high: left.high + right.high };
}

export function scaleInterval(interval: Interval, factor: number): Interval {
  return factor >= 0
    ? { low: times(interval.low, factor), high: times(interval.high, factor) }
    : { low: times(interval.high, factor), high: times(interval.low, factor) };
}

/** Zero times an infinite bound is zero: the bound is never attained. */
function times(left: number, right: number): number {
  return left === 0 || right === 0 ? 0 : left * right;
}

function hull(...values: readonly number[]): Interval {
  return { low: Math.min(...values), high: Math.max(...values) };
}

function union(left: Interval, right: Interval): Interval {
  return { low: Math.min(left.low, right.low), high: Math.max(left.high, right.high) };
}

const byFunction: {
  readonly [F in ScalarFunction]?: (first: Interval, second: Interval, third: Interval) => Interval;
} = {
  add: addIntervals,
  sub: (left, right) => ({ low: left.low - right.high, high: left.high - right.low }),
  mul: (left, right) =>
    hull(
      times(left.low, right.low),
      times(left.low, right.high),
      times(left.high, right.low),
      times(left.high, right.high),
    ),
  neg: (operand) => scaleInterval(operand, -1),
  abs: (operand) =>
    operand.low >= 0
      ? operand
      : { low: Math.max(0, -operand.high), high: Math.max(-operand.low, operand.high) },
  sign: (operand) => ({ low: Math.sign(operand.low), high: Math.sign(operand.high) }),
  min: (left, right) => ({ low: Math.min(left.low, right.low), high: Math.min(left.high, right.high) }),
  max: (left, right) => ({ low: Math.max(left.low, right.low), high: Math.max(left.high, right.high) }),
  floordiv: (left, right) =>
    right.low <= 0
      ? whole
      : hull(
          Math.floor(left.low / right.low),
          Math.floor(left.low / right.high),
          Math.floor(left.high / right.low),
          Math.floor(left.high / right.high),
        ),
  mod: (left, right) => {
    if (right.low <= 0) return whole;
    if (left.low >= 0 && left.high < right.low) return left;
    return { low: 0, high: left.low >= 0 ? Math.min(left.high, right.high - 1) : right.high - 1 };
  },
  select: (condition, then, otherwise) =>
    condition.low === 1 ? then : condition.high === 0 ? otherwise : union(then, otherwise),
  and: (left, right) => ({ low: Math.min(left.low, right.low), high: Math.min(left.high, right.high) }),
  or: (left, right) => ({ low: Math.max(left.low, right.low), high: Math.max(left.high, right.high) }),
  not: (operand) => ({ low: 1 - operand.high, high: 1 - operand.low }),
  lt: (left, right) => (left.high < right.low ? always : left.low >= right.high ? never : unknownBool),
  le: (left, right) => (left.high <= right.low ? always : left.low > right.high ? never : unknownBool),
  eq: (left, right) =>
    left.high < right.low || right.high < left.low
      ? never
      : left.low === left.high && right.low === right.high && left.low === right.low
        ? always
        : unknownBool,
  ne: (left, right) =>
    left.high < right.low || right.high < left.low
      ? always
      : left.low === left.high && right.low === right.high && left.low === right.low
        ? never
        : unknownBool,
};

/**
 * Gives the interval in which an expression lies. Of floats nothing is claimed. Arithmetic that may leave its
 * dtype (and then wraps) is given the dtype's whole range.
 */
export function rangeAnalysis(bounds: Bounds): (scalar: Scalar) => Interval {
  const known = new Map<Scalar, Interval>();
  return (root) => {
    const found = known.get(root);
    if (found !== undefined) return found;
    for (const scalar of subexpressions(root))
      if (!known.has(scalar))
        known.set(
          scalar,
          rangeOf(scalar, bounds, (operand) => known.get(operand)!),
        );
    return known.get(root)!;
  };
}

function rangeOf(scalar: Scalar, bounds: Bounds, of: (scalar: Scalar) => Interval): Interval {
  switch (scalar.op) {
    case 'constant':
      return scalar.dtype === 'f32' ? whole : { low: scalar.value, high: scalar.value };
    case 'iterator':
      return { low: 0, high: Math.max(0, (bounds.extents[scalar.axis] ?? representable.i32.high) - 1) };
    case 'counter':
      return { low: 0, high: Math.max(0, (bounds.loops.get(scalar.loop) ?? representable.i32.high) - 1) };
    case 'coordinate':
      return { low: 0, high: Math.max(0, scalar.devices - 1) };
    case 'size':
      return { low: 0, high: scalar.most };
    case 'load':
    case 'reduced':
      return representable[scalar.dtype];
    case 'round':
      return contains(representable[scalar.dtype], of(scalar.operand))
        ? of(scalar.operand)
        : representable[scalar.dtype];
    case 'convert': {
      const source = of(scalar.operand);
      return Number.isFinite(source.low) && contains(representable[scalar.dtype], source)
        ? source
        : representable[scalar.dtype];
    }
    case 'apply': {
      const inner = operands(scalar).map(of);
      const limits = representable[scalar.dtype];
      // A comparison of floats knows nothing of its operands: NaN is in no interval.
      if (scalar.dtype === 'f32' || inner.some((interval, position) => isFloat(interval, scalar, position)))
        return limits;
      const rule = byFunction[scalar.function];
      if (rule === undefined) return limits;
      const interval = rule(inner[0] ?? whole, inner[1] ?? whole, inner[2] ?? whole);
      return contains(limits, interval) ? interval : limits;
    }
  }
}

function isFloat(interval: Interval, scalar: Scalar, position: number): boolean {
  const condition = scalar.op === 'apply' && scalar.function === 'select' && position === 0;
  return !condition && interval === whole;
}
