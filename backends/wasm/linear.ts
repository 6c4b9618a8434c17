/**
 * Integers as sums of multiples of values, so that each part is added in the outermost block that knows it.
 * i32 arithmetic wraps, so coefficients and constants are kept modulo 2^32, in the range of i32.
 */
import { literal } from './values.ts';
import type { Value, Writer } from './writer.ts';

export interface Linear {
  readonly constant: number;
  readonly terms: readonly LinearTerm[];
}

interface LinearTerm {
  readonly value: Value;
  readonly coefficient: number;
  /** Whether `value` is never negative. */
  readonly isNatural: boolean;
}

export function linearConstant(constant: number): Linear {
  return { constant, terms: [] };
}

export function linearValue(value: Value, isNatural: boolean): Linear {
  return { constant: 0, terms: [{ value, coefficient: 1, isNatural }] };
}

export function plus(left: Linear, right: Linear): Linear {
  const terms = new Map<string, LinearTerm>();
  for (const term of [...left.terms, ...right.terms]) {
    const known = terms.get(term.value.key);
    const coefficient = ((known?.coefficient ?? 0) + term.coefficient) | 0;
    terms.set(term.value.key, { ...term, coefficient });
  }
  return {
    constant: (left.constant + right.constant) | 0,
    terms: [...terms.values()].filter((term) => term.coefficient !== 0),
  };
}

export function times(linear: Linear, factor: number): Linear {
  const terms = linear.terms.map((term) => ({ ...term, coefficient: Math.imul(term.coefficient, factor) }));
  return {
    constant: Math.imul(linear.constant, factor),
    terms: terms.filter((term) => term.coefficient !== 0),
  };
}

/** Whether all but the constant is surely not negative. */
export function hasNaturalTerms({ terms }: Linear): boolean {
  return terms.every(({ coefficient, isNatural }) => coefficient > 0 && isNatural);
}

/**
 * The sum as a value: the outermost terms first, the constant last, so that neighbours share all but that.
 */
export function sumOf(writer: Writer, { terms, constant }: Linear): Value {
  const ordered = [...terms].sort((a, b) => a.value.depth - b.value.depth);
  let total: Value | undefined;
  for (const { value, coefficient } of ordered) {
    const part = scaled(writer, value, coefficient);
    total = total === undefined ? part : writer.instruction('i32.add', 'i32', [total, part]);
  }
  if (total === undefined) return literal(constant, 'i32');
  return constant === 0 ? total : writer.instruction('i32.add', 'i32', [total, literal(constant, 'i32')]);
}

function scaled(writer: Writer, value: Value, coefficient: number): Value {
  if (coefficient === 1) return value;
  const shift = Math.log2(coefficient);
  return Number.isInteger(shift)
    ? writer.instruction('i32.shl', 'i32', [value, literal(shift, 'i32')])
    : writer.instruction('i32.mul', 'i32', [value, literal(coefficient, 'i32')]);
}
