/**
 * Integer values as polynomials over sizes and indices, and the proof that they stay in range. An index
 * stands in a polynomial as a size parameter with a name of its own (`#3`), of which only the range is known;
 * an integer of any value likewise (`#v3`), without a range.
 */
import type { Context } from './context.ts';
import type { Fact } from './facts.ts';
import { isNatural } from './obligations.ts';
import {
  addSizes,
  divideExactly,
  multiplySizes,
  natural,
  parameter,
  type Size,
  sizeParameters,
  substituteSizes,
  subtractSizes,
} from './size.ts';
import type { TypedExpression } from './typed.ts';

const one = natural(1);
const zero = natural(0);

/** A value from 0 to range − 1 of which nothing else is known. */
function freshIndex(context: Context, range: Size): Size {
  return nameIndex(context, `#f${context.body.indexRanges.size}`, range);
}

function nameIndex(context: Context, name: string, range: Size): Size {
  context.body.indexRanges.set(name, range);
  return parameter(name);
}

/** An i32 of which nothing is known but what conditions say. */
function anyInteger(value: Extract<TypedExpression, { kind: 'local' }>): Size | undefined {
  const { type } = value;
  const integer = type.kind === 'tensor' && type.element.kind === 'dtype' && type.element.dtype === 'i32';
  return integer ? parameter(`${anyMark}${value.local}`) : undefined;
}

const anyMark = '#v';

function hasAny(size: Size): boolean {
  return [...sizeParameters(size)].some((name) => name.startsWith(anyMark));
}

/** The value of an integer expression as a polynomial; undefined when it is not one. */
export function affineOf(context: Context, value: TypedExpression): Size | undefined {
  const { type } = value;
  if (type.kind !== 'tensor' || type.dims.length > 0) return undefined;
  const known = affineNode(context, value);
  if (known !== undefined) return known;
  return type.element.kind === 'ix' ? freshIndex(context, type.element.range) : undefined;
}

function affineNode(context: Context, value: TypedExpression): Size | undefined {
  switch (value.kind) {
    case 'constant':
      if (!Number.isSafeInteger(value.value)) return undefined;
      return value.value >= 0 ? natural(value.value) : subtractSizes(zero, natural(-value.value));
    case 'size':
      return value.size;
    case 'index':
      return value.type.kind === 'tensor' && value.type.element.kind === 'ix'
        ? nameIndex(context, `#${value.index}`, value.type.element.range)
        : undefined;
    case 'local':
      return context.body.affineLocals.get(value.local) ?? anyInteger(value);
    case 'cast':
      return keepsInteger(value) ? affineOf(context, value.operand) : undefined;
    case 'apply':
      return affineApply(context, value);
    default:
      return undefined;
  }
}

/** Casts to i32 and ix of what is already a small integer; unsigned types wrap and are left out. */
function keepsInteger(cast: Extract<TypedExpression, { kind: 'cast' }>): boolean {
  const { type } = cast;
  const from = cast.operand.type;
  if (type.kind !== 'tensor' || from.kind !== 'tensor') return false;
  const target =
    type.element.kind === 'ix' || (type.element.kind === 'dtype' && type.element.dtype === 'i32');
  return (
    target && (from.element.kind === 'ix' || (from.element.kind === 'dtype' && from.element.dtype === 'i32'))
  );
}

function affineApply(context: Context, value: Extract<TypedExpression, { kind: 'apply' }>): Size | undefined {
  const { type } = value;
  if (type.kind !== 'tensor' || type.element.kind !== 'dtype' || type.element.dtype !== 'i32')
    return undefined;
  const operands = value.operands.map((operand) => affineOf(context, operand));
  const [left, right] = operands;
  if (left === undefined) return undefined;
  if (value.function === 'neg') return subtractSizes(zero, left);
  if (right === undefined) return undefined;
  switch (value.function) {
    case 'add':
      return addSizes(left, right);
    case 'sub':
      return subtractSizes(left, right);
    case 'mul':
      return multiplySizes(left, right);
    case 'mod':
      return hasIndex(right) ? undefined : freshIndex(context, right);
    case 'floordiv': {
      if (hasIndex(right) || !isAtLeastZero(context, left)) return undefined;
      const largest = extreme(context, left, 'max');
      const range = largest === undefined ? undefined : divideExactly(addSizes(largest, one), right);
      return range === undefined ? undefined : freshIndex(context, range);
    }
    default:
      return undefined;
  }
}

function hasIndex(size: Size): boolean {
  return [...sizeParameters(size)].some(isIndexName);
}

function isIndexName(name: string): boolean {
  return name.startsWith('#');
}

/** P as A · index + B, when the index occurs in the first power and in no quotient. */
function splitAt(polynomial: Size, name: string): { slope: Size; rest: Size } | undefined {
  const rest = substituteSizes(polynomial, new Map([[name, zero]]));
  const slope = subtractSizes(substituteSizes(polynomial, new Map([[name, one]])), rest);
  const again = addSizes(multiplySizes(slope, parameter(name)), rest);
  return again.key === polynomial.key && !sizeParametersOf(slope).has(name) ? { slope, rest } : undefined;
}

function sizeParametersOf(size: Size): ReadonlySet<string> {
  return new Set(sizeParameters(size));
}

/** The least or largest value over all indices, as a size; undefined when it cannot be told. */
function extreme(context: Context, polynomial: Size, which: 'min' | 'max'): Size | undefined {
  const name = [...sizeParameters(polynomial)].find(isIndexName);
  if (name === undefined) return polynomial;
  const range = context.body.indexRanges.get(name);
  const split = splitAt(polynomial, name);
  if (range === undefined || split === undefined) return undefined;
  const falls = split.slope.terms.every(({ coefficient }) => coefficient < 0);
  const rises = !falls && isAtLeastZero(context, split.slope);
  if (!falls && !rises && !isAtLeastZero(context, subtractSizes(zero, split.slope))) return undefined;
  const end = rises === (which === 'max') ? subtractSizes(range, one) : zero;
  return extreme(context, substituteSizes(polynomial, new Map([[name, end]])), which);
}

function isAtLeastZero(context: Context, polynomial: Size): boolean {
  const least = extreme(context, polynomial, 'min');
  return least !== undefined && isNatural(context.facts, least);
}

/**
 * 0 ≤ polynomial, by the ranges of the indices, or by them and one of the enclosing conditions. Sums with an
 * integer of any value may wrap: for them a condition must be on the very value, up to a size.
 */
function proveAtLeastZero(context: Context, polynomial: Size): boolean {
  if (isAtLeastZero(context, polynomial)) return true;
  return context.guards.some((guard) => {
    const difference = subtractSizes(polynomial, guard);
    return hasAny(polynomial)
      ? !hasIndex(difference) && isNatural(context.facts, difference)
      : isAtLeastZero(context, difference);
  });
}

/** Whether an integer value is certainly in [0, size). */
export function isInRange(context: Context, value: TypedExpression, size: Size): boolean {
  const affine = affineOf(context, value);
  if (affine === undefined) return false;
  const room = subtractSizes(subtractSizes(size, one), affine);
  return proveAtLeastZero(context, affine) && proveAtLeastZero(context, room);
}

/**
 * The fact about sizes that would keep the value below `size`, when it is at least 0 and that is what is
 * missing.
 */
export function upperFact(context: Context, value: TypedExpression, size: Size): Fact | undefined {
  const affine = affineOf(context, value);
  if (affine === undefined || !isAtLeastZero(context, affine)) return undefined;
  const largest = extreme(context, affine, 'max');
  return largest === undefined ? undefined : { relation: '<=', left: addSizes(largest, one), right: size };
}

/** What a condition tells, as polynomials that are at least 0 where it is (or is not) true. */
export function guardsOf(context: Context, condition: TypedExpression, holds: boolean): readonly Size[] {
  if (condition.kind !== 'apply') return [];
  const [left, right] = condition.operands;
  if (left === undefined) return [];
  if (condition.function === 'not') return guardsOf(context, left, !holds);
  if (right === undefined) return [];
  if (condition.function === (holds ? 'and' : 'or')) {
    return [...guardsOf(context, left, holds), ...guardsOf(context, right, holds)];
  }
  const small = affineOf(context, left);
  const large = affineOf(context, right);
  if (small === undefined || large === undefined || (hasAny(small) && hasAny(large))) return [];
  switch (condition.function) {
    case 'lt':
      return [holds ? subtractSizes(subtractSizes(large, small), one) : subtractSizes(small, large)];
    case 'le':
      return [holds ? subtractSizes(large, small) : subtractSizes(subtractSizes(small, large), one)];
    case 'eq':
      return holds ? [subtractSizes(large, small), subtractSizes(small, large)] : [];
    default:
      return [];
  }
}
