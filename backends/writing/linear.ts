/**
 * Integers as sums of multiples of values, so that each part is added in the outermost block that knows it.
 * i32 arithmetic wraps, so coefficients and constants are kept modulo 2^32, in the range of i32.
 */

/** What a writer calls a value: equal keys mean equal values. */
export interface Keyed {
  readonly key: string;
  /** The block, counted from 0 for the kernel, in which it is known. */
  readonly depth: number;
}

export interface Linear<V extends Keyed> {
  readonly constant: number;
  readonly terms: readonly LinearTerm<V>[];
}

export interface LinearTerm<V extends Keyed> extends Facts {
  readonly value: V;
  readonly coefficient: number;
}

/** What is known of a value. */
interface Facts {
  /** Divides it. */
  readonly divisor: number;
  /** Whether it is surely not negative. */
  readonly isNatural: boolean;
}

export function linearConstant(constant: number): Linear<never> {
  return { constant, terms: [] };
}

export function linearValue<V extends Keyed>(
  value: V,
  { divisor = 1, isNatural = false }: Partial<Facts> = {},
): Linear<V> {
  return { constant: 0, terms: [{ value, coefficient: 1, divisor, isNatural }] };
}

export function plus<V extends Keyed>(left: Linear<V>, right: Linear<V>): Linear<V> {
  const terms = new Map<string, LinearTerm<V>>();
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

export function times<V extends Keyed>(linear: Linear<V>, factor: number): Linear<V> {
  const terms = linear.terms.map((term) => ({ ...term, coefficient: Math.imul(term.coefficient, factor) }));
  return {
    constant: Math.imul(linear.constant, factor),
    terms: terms.filter((term) => term.coefficient !== 0),
  };
}

/** Whether all but the constant is surely not negative. */
export function hasNaturalTerms<V extends Keyed>({ terms }: Linear<V>): boolean {
  return terms.every(({ coefficient, isNatural }) => coefficient > 0 && isNatural);
}

/** The terms in the order in which they become known, so that neighbours share all but the constant. */
export function outermostFirst<V extends Keyed>({ terms }: Linear<V>): readonly LinearTerm<V>[] {
  return [...terms].sort((a, b) => a.value.depth - b.value.depth);
}
