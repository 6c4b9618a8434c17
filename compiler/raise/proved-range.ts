/**
 * Which subscripts the checker can prove to be in range (`dsl/types/affine.ts`), so that only the others are
 * clamped. What is said here to be proved must be: it follows the checker's rules, on numbers.
 */
import type { Scalar } from '../graph/graph.ts';

/** `constant + Σ coefficient · value`, where each value is known to be from 0 to range − 1. */
export interface Affine {
  readonly constant: number;
  readonly terms: ReadonlyMap<Value, Term>;
}

/** An iterator by its axis, a step of a loop by a text, and anything else by itself. */
type Value = number | string | symbol;

export interface Term {
  readonly coefficient: number;
  readonly range: number;
}

/** The range of an expression whose type in the source is an `ix`; undefined for others. */
export type RangeOf = (scalar: Scalar) => number | undefined;

export function affineOf(scalar: Scalar, rangeOf: RangeOf): Affine | undefined {
  const range = rangeOf(scalar);
  if (range !== undefined) return variable(keyOf(scalar), range);
  if (scalar.op === 'constant') {
    return scalar.dtype === 'i32' ? { constant: scalar.value, terms: new Map() } : undefined;
  }
  if (scalar.op !== 'apply' || scalar.dtype !== 'i32') return undefined;
  const [left, right] = scalar.operands.map((operand) => affineOf(operand, rangeOf));
  if (left === undefined) return undefined;
  if (scalar.function === 'neg') return combined(zero, left, -1);
  if (right === undefined) return undefined;
  switch (scalar.function) {
    case 'add':
      return combined(left, right, 1);
    case 'sub':
      return combined(left, right, -1);
    case 'mul':
      if (right.terms.size === 0) return combined(zero, left, right.constant);
      return left.terms.size === 0 ? combined(zero, right, left.constant) : undefined;
    case 'mod':
      return right.terms.size === 0 ? variable(Symbol('value'), right.constant) : undefined;
    case 'floordiv': {
      const divisor = right.constant;
      const count = greatest(left) + 1;
      const isExact = right.terms.size === 0 && divisor > 0 && count % divisor === 0;
      return isExact && least(left) >= 0 ? variable(Symbol('value'), count / divisor) : undefined;
    }
    default:
      return undefined;
  }
}

const zero: Affine = { constant: 0, terms: new Map() };

function variable(key: Value, range: number): Affine {
  return { constant: 0, terms: new Map([[key, { coefficient: 1, range }]]) };
}

/** Iterators and steps are the same value everywhere; of anything else the checker knows the range only. */
function keyOf(scalar: Scalar): Value {
  if (scalar.op === 'iterator') return scalar.axis;
  return scalar.op === 'counter' ? `step ${scalar.loop}` : Symbol('value');
}

function combined(left: Affine, right: Affine, factor: number): Affine {
  const terms = new Map(left.terms);
  for (const [key, { coefficient, range }] of right.terms) {
    const total = (terms.get(key)?.coefficient ?? 0) + factor * coefficient;
    if (total === 0) terms.delete(key);
    else terms.set(key, { coefficient: total, range });
  }
  return { constant: left.constant + factor * right.constant, terms };
}

function least({ constant, terms }: Affine): number {
  return [...terms.values()].reduce(
    (sum, { coefficient, range }) => sum + (coefficient < 0 ? coefficient * (range - 1) : 0),
    constant,
  );
}

function greatest({ constant, terms }: Affine): number {
  return [...terms.values()].reduce(
    (sum, { coefficient, range }) => sum + (coefficient > 0 ? coefficient * (range - 1) : 0),
    constant,
  );
}

/** Whether the value is from 0 to extent − 1, by the ranges in it or one of the conditions around. */
export function isProvedBelow(value: Affine, extent: number, guards: readonly Affine[]): boolean {
  const room = combined({ constant: extent - 1, terms: new Map() }, value, -1);
  const isProved = (affine: Affine): boolean =>
    least(affine) >= 0 || guards.some((guard) => least(combined(affine, guard, -1)) >= 0);
  return isProved(value) && isProved(room);
}

/** What a condition tells where it holds (or does not), as values that are at least 0. */
export function guardsOf(condition: Scalar, holds: boolean, rangeOf: RangeOf): readonly Affine[] {
  if (condition.op !== 'apply') return [];
  const [left, right] = condition.operands;
  if (left === undefined) return [];
  if (condition.function === 'not') return guardsOf(left, !holds, rangeOf);
  if (right === undefined) return [];
  if (condition.function === (holds ? 'and' : 'or'))
    return [...guardsOf(left, holds, rangeOf), ...guardsOf(right, holds, rangeOf)];
  const small = affineOf(left, rangeOf);
  const large = affineOf(right, rangeOf);
  if (small === undefined || large === undefined) return [];
  const less = (one: Affine, other: Affine, by: number): Affine => {
    const difference = combined(other, one, -1);
    return { ...difference, constant: difference.constant - by };
  };
  switch (condition.function) {
    case 'lt':
      return [holds ? less(small, large, 1) : less(large, small, 0)];
    case 'le':
      return [holds ? less(small, large, 0) : less(large, small, 1)];
    case 'eq':
      return holds ? [less(small, large, 0), less(large, small, 0)] : [];
    default:
      return [];
  }
}

/**
 * The iterators of which the value is the index into a product dimension of that size, major first; undefined
 * when it is no such index.
 */
export function productParts(value: Affine, extent: number): readonly number[] | undefined {
  if (value.constant !== 0 || value.terms.size < 2) return undefined;
  const terms = [...value.terms].sort(
    ([, left], [, right]) => right.coefficient - left.coefficient || right.range - left.range,
  );
  const axes = terms.flatMap(([key]) => (typeof key === 'number' ? [key] : []));
  let stride = 1;
  for (const [, { coefficient, range }] of terms.toReversed()) {
    if (coefficient !== stride) return undefined;
    stride *= range;
  }
  return axes.length === terms.length && stride === extent ? axes : undefined;
}
