/** Sums of multiples of values, in WGSL. */
import { type Linear as LinearOf, type LinearTerm, outermostFirst } from '../writing/linear.ts';
import type { Emission } from './emission.ts';
import { literal } from './wgsl-text.ts';
import type { Value } from './writer.ts';

export type Linear = LinearOf<Value>;

const lowest = -(2 ** 31);

/**
 * A quarter of `linear`, when each of its terms is known to be a multiple of four (the constant is rounded
 * down).
 */
export function quarter(emission: Emission, linear: Linear): Linear | undefined {
  const terms: LinearTerm<Value>[] = [];
  for (const term of linear.terms) {
    if (term.coefficient % 4 === 0) terms.push({ ...term, coefficient: term.coefficient / 4, divisor: 1 });
    else if (term.divisor % 4 === 0) {
      const value = emission.writer.compute('i32', 1, [term.value], ([text]) => `${text} >> 2u`);
      terms.push({ ...term, value, divisor: 1 });
    } else return undefined;
  }
  return { constant: Math.floor(linear.constant / 4), terms };
}

/**
 * The sum as a value: the outermost terms first, the constant last, so that neighbours share all but that.
 */
export function sumOf(emission: Emission, linear: Linear): Value {
  const { writer } = emission;
  let total: Value | undefined;
  for (const { value, coefficient } of outermostFirst(linear)) {
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
