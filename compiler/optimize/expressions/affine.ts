/**
 * Affine normal form of i32 expressions: a constant plus whole multiples of distinct atoms (iterators,
 * counters, loads, quotients …). i32 arithmetic wraps, and so is a ring modulo 2^32: collecting terms is
 * exact there. What divides or compares needs more, that the form does not leave i32 on its way: `exactRange`
 * says when it does not.
 */
import type { Scalar } from '../../graph/graph.ts';
import { apply, integer } from '../../graph/scalar.ts';
import type { Interner } from './interner.ts';
import { addIntervals, contains, type Interval, scaleInterval, valuesOf } from './ranges.ts';

export interface Affine {
  readonly constant: number;
  /** By interned atom; no coefficient is zero. */
  readonly terms: ReadonlyMap<Scalar, number>;
}

/** More terms than subscripts have: beyond it an expression is left as it is. */
const mostTerms = 64;

/**
 * undefined when the expression is not i32, has too many terms, or a coefficient leaves i32. `scalar` is
 * interned.
 */
export function affineOf(scalar: Scalar): Affine | undefined {
  const terms = new Map<Scalar, number>();
  let constant = 0;
  const pending: { readonly scalar: Scalar; readonly factor: number }[] = [{ scalar, factor: 1 }];
  for (let steps = 0; pending.length > 0; steps++) {
    if (steps > 4 * mostTerms) return undefined;
    const { scalar: part, factor } = pending.pop()!;
    if (part.op === 'constant') {
      constant += factor * part.value;
      continue;
    }
    if (part.op === 'apply' && part.dtype === 'i32') {
      const [left, right] = part.operands;
      if (part.function === 'add' || part.function === 'sub') {
        pending.push({ scalar: right!, factor: part.function === 'add' ? factor : -factor });
        pending.push({ scalar: left!, factor });
        continue;
      }
      if (part.function === 'neg') {
        pending.push({ scalar: left!, factor: -factor });
        continue;
      }
      if (part.function === 'mul' && right!.op === 'constant') {
        pending.push({ scalar: left!, factor: factor * right!.value });
        continue;
      }
      if (part.function === 'mul' && left!.op === 'constant') {
        pending.push({ scalar: right!, factor: factor * left!.value });
        continue;
      }
    }
    const coefficient = (terms.get(part) ?? 0) + factor;
    if (coefficient === 0) terms.delete(part);
    else terms.set(part, coefficient);
  }
  const numbers = [constant, ...terms.values()];
  if (terms.size > mostTerms || numbers.some((value) => Math.abs(value) >= 2 ** 31)) return undefined;
  return { constant, terms };
}

export function subtract(left: Affine, right: Affine): Affine {
  const terms = new Map(left.terms);
  for (const [atom, coefficient] of right.terms) {
    const rest = (terms.get(atom) ?? 0) - coefficient;
    if (rest === 0) terms.delete(atom);
    else terms.set(atom, rest);
  }
  return { constant: left.constant - right.constant, terms };
}

/** The interval of the form in exact integers, atoms taken as independent. */
export function exactRange(form: Affine, range: (scalar: Scalar) => Interval): Interval {
  let interval: Interval = { low: form.constant, high: form.constant };
  for (const [atom, coefficient] of form.terms)
    interval = addIntervals(interval, scaleInterval(range(atom), coefficient));
  return interval;
}

/** Whether the value of the form is the same in exact integers and in i32. */
export function neverWraps(form: Affine, range: (scalar: Scalar) => Interval): boolean {
  return contains(valuesOf('i32'), exactRange(form, range));
}

/** The form as an expression: terms by falling coefficient, iterators first, the constant last. */
export function fromAffine(form: Affine, interner: Interner): Scalar {
  const order = [...form.terms].sort(
    ([left, leftFactor], [right, rightFactor]) =>
      Number(rightFactor > 0) - Number(leftFactor > 0) ||
      Math.abs(rightFactor) - Math.abs(leftFactor) ||
      axisOr(left) - axisOr(right) ||
      interner.number(left) - interner.number(right),
  );
  let sum: Scalar | undefined;
  for (const [atom, coefficient] of order) {
    const magnitude = sum === undefined ? coefficient : Math.abs(coefficient);
    const term = magnitude === 1 ? atom : apply('mul', atom, integer(magnitude));
    if (sum === undefined) sum = coefficient === -1 ? apply('neg', atom) : term;
    else sum = apply(coefficient < 0 ? 'sub' : 'add', sum, term);
  }
  if (sum === undefined) return interner.intern(integer(form.constant));
  if (form.constant > 0) sum = apply('add', sum, integer(form.constant));
  if (form.constant < 0) sum = apply('sub', sum, integer(-form.constant));
  return interner.intern(sum);
}

function axisOr(atom: Scalar): number {
  return atom.op === 'iterator' ? atom.axis : Number.MAX_SAFE_INTEGER;
}
