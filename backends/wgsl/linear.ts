/**
 * Integers as sums of multiples of values: written so that each part is added in the outermost block that
 * knows it. i32 arithmetic wraps, so coefficients and constants are kept modulo 2^32, in the range of i32.
 */
import type { Emission } from './emission.ts';
import { literal } from './wgsl-text.ts';
import type { Value } from './writer.ts';

export interface Linear {
  readonly constant: number;
  readonly terms: readonly LinearTerm[];
}

export interface LinearTerm {
  readonly value: Value;
  readonly coefficient: number;
  /** Divides `value`. */
  readonly divisor: number;
}

const lowest = -(2 ** 31);

export const zero: Linear = { constant: 0, terms: [] };

export function linearConstant(constant: number): Linear {
  return { constant, terms: [] };
}

export function linearValue(value: Value, divisor: number): Linear {
  return { constant: 0, terms: [{ value, coefficient: 1, divisor }] };
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

/**
 * A quarter of `linear`, when each of its terms is known to be a multiple of four (the constant is rounded
 * down).
 */
export function quarter(emission: Emission, linear: Linear): Linear | undefined {
  const terms: LinearTerm[] = [];
  for (const term of linear.terms) {
    if (term.coefficient % 4 === 0) terms.push({ ...term, coefficient: term.coefficient / 4, divisor: 1 });
    else if (term.divisor % 4 === 0) {
      const value = emission.writer.compute('i32', 1, [term.value], ([text]) => `${text} >> 2u`);
      terms.push({ value, coefficient: term.coefficient, divisor: 1 });
    } else return undefined;
  }
  return { constant: Math.floor(linear.constant / 4), terms };
}

/**
 * The sum as a value: the outermost terms first, the constant last, so that neighbours share all but that.
 */
export function sumOf(emission: Emission, linear: Linear): Value {
  const { writer } = emission;
  const ordered = [...linear.terms].sort((a, b) => a.value.depth - b.value.depth);
  let total: Value | undefined;
  for (const { value, coefficient } of ordered) {
    const scaled =
      Math.abs(coefficient) === 1
        ? value
        : writer.compute('i32', 1, [value], ([text]) => `${text} * ${magnitude(coefficient)}`);
    if (total === undefined)
      total = coefficient > 0 ? scaled : writer.compute('i32', 1, [scaled], ([text]) => `-${text}`);
    else
      total = writer.compute(
        'i32',
        1,
        [total, scaled],
        ([a, b]) => `${a} ${coefficient > 0 ? '+' : '-'} ${b}`,
      );
  }
  const { constant } = linear;
  if (total === undefined) return literal(constant, 'i32');
  if (constant === 0) return total;
  return writer.compute('i32', 1, [total], ([text]) => {
    return `${text} ${constant > 0 ? '+' : '-'} ${magnitude(constant)}`;
  });
}

/**
 * What is added or subtracted. The lowest i32 has no magnitude in i32, and is its own negative modulo 2^32.
 */
function magnitude(integer: number): string {
  return integer === lowest ? `(${lowest})` : `${Math.abs(integer)}`;
}
