/**
 * Arithmetic on indices. i32 sums are kept in affine normal form (a constant plus multiples of atoms), so
 * that what a product dimension splits comes together again: `(g * R + r) floordiv R` is `g`, `R * (h
 * floordiv R) + h mod R` is `h`.
 *
 * i32 arithmetic wraps and is a ring modulo 2^32, so collecting terms is exact there. Division and remainder
 * are simplified only where the interval of the dividend shows that it has not wrapped.
 */
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import type { LoopId, Scalar } from '../graph/graph.ts';
import { apply, boolean, integer, scalarKey, scalarType } from '../graph/scalar.ts';

/** How far iterators and steps go. */
export interface IndexBounds {
  readonly extent: (axis: number) => number;
  readonly count: (loop: LoopId) => number;
}

/** All integers from `low` to `high`, both included. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

interface Term {
  readonly atom: Scalar;
  readonly coefficient: number;
}

/** By the atom's key, in order of first appearance; no coefficient is zero. */
interface Affine {
  readonly constant: number;
  readonly terms: ReadonlyMap<string, Term>;
}

export interface IndexArithmetic {
  /** The same value, simplified at the root; operands are simplified already. */
  readonly simplify: (scalar: Scalar) => Scalar;
  readonly add: (left: Scalar, right: Scalar) => Scalar;
  readonly subtract: (left: Scalar, right: Scalar) => Scalar;
  readonly scale: (scalar: Scalar, factor: number) => Scalar;
  /** Rounded down; `divisor` is a positive number. */
  readonly floordiv: (scalar: Scalar, divisor: number) => Scalar;
  readonly mod: (scalar: Scalar, divisor: number) => Scalar;
  /** One index of a product dimension from its parts, major first: `g * R + r`. */
  readonly merge: (parts: readonly Scalar[], factors: readonly number[]) => Scalar;
  /** The parts of an index of a product dimension, major first. */
  readonly split: (index: Scalar, factors: readonly number[]) => Scalar[];
  /** In which interval an i32 expression lies. */
  readonly interval: (scalar: Scalar) => Interval;
}

const i32: Interval = { low: -(2 ** 31), high: 2 ** 31 - 1 };
const mostTerms = 32;

type Simplification = (left: Scalar, right: Scalar, third: Scalar) => Scalar | undefined;

export function indexArithmetic(bounds: IndexBounds): IndexArithmetic {
  const integerRules: { readonly [F in ScalarFunction]?: Simplification } = {
    add: (left, right) => combined(left, right, 1),
    sub: (left, right) => combined(left, right, -1),
    neg: (operand) => combined(integer(0), operand, -1),
    mul: (left, right) => {
      const [number, other] = left.op === 'constant' ? [left, right] : [right, left];
      return number.op === 'constant' ? scaled(other, number.value) : undefined;
    },
    floordiv: (dividend, divisor) => (isPositive(divisor) ? floordiv(dividend, divisor.value) : undefined),
    mod: (dividend, divisor) => (isPositive(divisor) ? mod(dividend, divisor.value) : undefined),
    min: (left, right) => (atMost(left, right) ? left : atMost(right, left) ? right : undefined),
    max: (left, right) => (atMost(left, right) ? right : atMost(right, left) ? left : undefined),
    le: (left, right) =>
      atMost(left, right) ? boolean(true) : below(right, left) ? boolean(false) : undefined,
    lt: (left, right) =>
      below(left, right) ? boolean(true) : atMost(right, left) ? boolean(false) : undefined,
    eq: (left, right) => (below(left, right) || below(right, left) ? boolean(false) : undefined),
    ne: (left, right) => (below(left, right) || below(right, left) ? boolean(true) : undefined),
  };

  const boolRules: { readonly [F in ScalarFunction]?: Simplification } = {
    and: (left, right) =>
      isConstant(left, 0) || isConstant(right, 1) ? left : isConstant(left, 1) ? right : undefined,
    or: (left, right) =>
      isConstant(left, 1) || isConstant(right, 0) ? left : isConstant(left, 0) ? right : undefined,
    not: (operand) => (operand.op === 'constant' ? boolean(operand.value === 0) : undefined),
    select: (condition, then, otherwise) =>
      condition.op === 'constant' ? (condition.value === 1 ? then : otherwise) : undefined,
  };

  function simplify(scalar: Scalar): Scalar {
    if (scalar.op !== 'apply') return scalar;
    const [first, second, third] = scalar.operands as [Scalar, Scalar, Scalar];
    const rules = scalarType(first) === 'i32' ? integerRules : scalarType(first) === 'bool' ? boolRules : {};
    return rules[scalar.function]?.(first, second, third) ?? scalar;
  }

  // ── affine form ──────────────────────────────────────────────────────────────────────────────────────────

  /** Undefined when there are too many terms or a coefficient leaves i32. */
  function sum(left: Affine, right: Affine, factor: number): Affine | undefined {
    const terms = new Map(left.terms);
    for (const [key, { atom, coefficient }] of right.terms) {
      const total = (terms.get(key)?.coefficient ?? 0) + factor * coefficient;
      if (total === 0) terms.delete(key);
      else terms.set(key, { atom, coefficient: total });
    }
    const constant = left.constant + factor * right.constant;
    const numbers = [constant, ...[...terms.values()].map((term) => term.coefficient)];
    return terms.size > mostTerms || numbers.some((value) => !within(value))
      ? undefined
      : { constant, terms };
  }

  function affineOf(scalar: Scalar): Affine {
    if (scalar.op === 'constant') return { constant: scalar.value, terms: new Map() };
    const alone = { constant: 0, terms: new Map([[scalarKey(scalar), { atom: scalar, coefficient: 1 }]]) };
    if (scalar.op !== 'apply') return alone;
    const [left, right] = scalar.operands as [Scalar, Scalar];
    const none: Affine = { constant: 0, terms: new Map() };
    switch (scalar.function) {
      case 'add':
        return sum(affineOf(left), affineOf(right), 1) ?? alone;
      case 'sub':
        return sum(affineOf(left), affineOf(right), -1) ?? alone;
      case 'neg':
        return sum(none, affineOf(left), -1) ?? alone;
      case 'mul':
        return (right.op === 'constant' ? sum(none, affineOf(left), right.value) : undefined) ?? alone;
      default:
        return alone;
    }
  }

  function expression({ constant, terms }: Affine): Scalar {
    let total: Scalar | undefined;
    // What is added comes first: `a - b` needs no negation.
    const ordered = [...terms.values()].sort(
      (left, right) => Number(right.coefficient > 0) - Number(left.coefficient > 0),
    );
    for (const { atom, coefficient } of ordered) {
      const magnitude = total === undefined ? coefficient : Math.abs(coefficient);
      const term =
        magnitude === 1
          ? atom
          : magnitude === -1
            ? apply('neg', atom)
            : apply('mul', atom, integer(magnitude));
      total = total === undefined ? term : apply(coefficient < 0 ? 'sub' : 'add', total, term);
    }
    if (total === undefined) return integer(constant);
    if (constant === 0) return total;
    return apply(constant < 0 ? 'sub' : 'add', total, integer(Math.abs(constant)));
  }

  function combined(left: Scalar, right: Scalar, factor: number): Scalar | undefined {
    const form = sum(affineOf(left), affineOf(right), factor);
    return form && expression(reunited(form));
  }

  function scaled(scalar: Scalar, factor: number): Scalar | undefined {
    return combined(integer(0), scalar, factor);
  }

  /** Puts `m * x` for `m * c * (x floordiv c) + m * (x mod c)`. */
  function reunited(form: Affine): Affine {
    for (const { atom, coefficient } of form.terms.values()) {
      if (atom.op !== 'apply' || atom.function !== 'mod') continue;
      const [whole, divisor] = atom.operands as [Scalar, Scalar];
      if (!isPositive(divisor) || !doesNotWrap(affineOf(whole))) continue;
      const quotient = affineOf(floordiv(whole, divisor.value));
      const withoutRest = sum(form, affineOf(atom), -coefficient);
      const withoutQuotient = withoutRest && sum(withoutRest, quotient, -coefficient * divisor.value);
      const joined = withoutQuotient && sum(withoutQuotient, affineOf(whole), coefficient);
      if (joined && joined.terms.size < form.terms.size) return reunited(joined);
    }
    return form;
  }

  // ── intervals ────────────────────────────────────────────────────────────────────────────────────────────

  /** In exact integers: beyond i32 where the form wraps. */
  function exactInterval({ constant, terms }: Affine): Interval {
    let { low, high } = { low: constant, high: constant };
    for (const { atom, coefficient } of terms.values()) {
      const range = atomInterval(atom);
      low += Math.min(coefficient * range.low, coefficient * range.high);
      high += Math.max(coefficient * range.low, coefficient * range.high);
    }
    return { low, high };
  }

  function doesNotWrap(form: Affine): boolean {
    const { low, high } = exactInterval(form);
    return low >= i32.low && high <= i32.high;
  }

  function interval(scalar: Scalar): Interval {
    const form = affineOf(scalar);
    return doesNotWrap(form) ? exactInterval(form) : i32;
  }

  function atomInterval(atom: Scalar): Interval {
    if (atom.op === 'iterator') return { low: 0, high: Math.max(0, bounds.extent(atom.axis) - 1) };
    if (atom.op === 'counter') return { low: 0, high: Math.max(0, bounds.count(atom.loop) - 1) };
    if (atom.op !== 'apply') return i32;
    const [first, second, third] = atom.operands as [Scalar, Scalar, Scalar];
    switch (atom.function) {
      case 'floordiv': {
        if (!isPositive(second)) return i32;
        const { low, high } = interval(first);
        return { low: Math.floor(low / second.value), high: Math.floor(high / second.value) };
      }
      case 'mod':
        return isPositive(second) ? { low: 0, high: second.value - 1 } : i32;
      case 'min':
        return extremes(interval(first), interval(second), Math.min);
      case 'max':
        return extremes(interval(first), interval(second), Math.max);
      case 'select': {
        const [then, otherwise] = [interval(second), interval(third)];
        return { low: Math.min(then.low, otherwise.low), high: Math.max(then.high, otherwise.high) };
      }
      default:
        return i32;
    }
  }

  function atMost(left: Scalar, right: Scalar): boolean {
    return interval(left).high <= interval(right).low;
  }

  function below(left: Scalar, right: Scalar): boolean {
    return interval(left).high < interval(right).low;
  }

  // ── division ─────────────────────────────────────────────────────────────────────────────────────────────

  /** `divisor * whole + rest`, where `whole` takes all the multiples of the divisor. */
  function divide(form: Affine, divisor: number): { readonly whole: Affine; readonly rest: Affine } {
    const quotient = Math.floor(form.constant / divisor);
    const multiples = new Map<string, Term>();
    const others = new Map<string, Term>();
    for (const [key, term] of form.terms) {
      const isMultiple = term.coefficient % divisor === 0;
      if (isMultiple) multiples.set(key, { ...term, coefficient: term.coefficient / divisor });
      else others.set(key, term);
    }
    return {
      whole: { constant: quotient, terms: multiples },
      rest: { constant: form.constant - quotient * divisor, terms: others },
    };
  }

  function floordiv(dividend: Scalar, divisor: number): Scalar {
    if (divisor === 1) return dividend;
    const form = affineOf(dividend);
    if (!doesNotWrap(form)) return apply('floordiv', dividend, integer(divisor));
    const { whole, rest } = divide(form, divisor);
    const { low, high } = exactInterval(rest);
    const steps = Math.floor(low / divisor);
    if (steps === Math.floor(high / divisor))
      return expression(reunited({ ...whole, constant: whole.constant + steps }));
    const left = dividedOnce(expression(rest), divisor);
    return combined(expression(whole), left, 1) ?? apply('floordiv', dividend, integer(divisor));
  }

  /** `(x floordiv a) floordiv b` is `x floordiv (a * b)`, `(x mod (a * b)) floordiv b` is `(x floordiv b) mod a`. */
  function dividedOnce(rest: Scalar, divisor: number): Scalar {
    if (rest.op === 'apply' && rest.function === 'mod') {
      const [inner, modulus] = rest.operands as [Scalar, Scalar];
      if (isPositive(modulus) && modulus.value % divisor === 0)
        return mod(floordiv(inner, divisor), modulus.value / divisor);
    }
    if (rest.op === 'apply' && rest.function === 'floordiv') {
      const [inner, first] = rest.operands as [Scalar, Scalar];
      if (isPositive(first) && within(first.value * divisor))
        return apply('floordiv', inner, integer(first.value * divisor));
    }
    return apply('floordiv', rest, integer(divisor));
  }

  function mod(dividend: Scalar, divisor: number): Scalar {
    if (divisor === 1) return integer(0);
    const form = affineOf(dividend);
    if (!doesNotWrap(form)) return apply('mod', dividend, integer(divisor));
    const { rest } = divide(form, divisor);
    const { low, high } = exactInterval(rest);
    const steps = Math.floor(low / divisor);
    if (steps === Math.floor(high / divisor))
      return expression({ ...rest, constant: rest.constant - steps * divisor });
    const left = expression(rest);
    if (left.op === 'apply' && left.function === 'mod') {
      const [inner, first] = left.operands as [Scalar, Scalar];
      if (isPositive(first) && first.value % divisor === 0) return mod(inner, divisor);
    }
    return apply('mod', left, integer(divisor));
  }

  const add = (left: Scalar, right: Scalar): Scalar => combined(left, right, 1) ?? apply('add', left, right);
  const scale = (scalar: Scalar, factor: number): Scalar =>
    scaled(scalar, factor) ?? apply('mul', scalar, integer(factor));

  return {
    simplify,
    interval,
    floordiv,
    mod,
    add,
    scale,
    subtract: (left, right) => combined(left, right, -1) ?? apply('sub', left, right),
    merge: (parts, factors) =>
      parts.reduce((major, part, position) =>
        position === 0 ? part : add(scale(major, factors[position]!), part),
      ),
    split: (index, factors) => {
      const parts: Scalar[] = [];
      let rest = index;
      for (let position = factors.length - 1; position > 0; position--) {
        const factor = factors[position]!;
        if (factor === 0) {
          // Nothing is ever there. What depends on the index still does, or it would be read where it is not.
          parts.unshift(rest);
          continue;
        }
        parts.unshift(mod(rest, factor));
        rest = floordiv(rest, factor);
      }
      return [rest, ...parts];
    },
  };
}

function isPositive(scalar: Scalar): scalar is Scalar & { op: 'constant' } {
  return scalar.op === 'constant' && scalar.value > 0;
}

function isConstant(scalar: Scalar, value: number): boolean {
  return scalar.op === 'constant' && scalar.value === value;
}

/** Without −2^31, which has no negative. */
function within(value: number): boolean {
  return Math.abs(value) <= i32.high;
}

function extremes(left: Interval, right: Interval, pick: (left: number, right: number) => number): Interval {
  return { low: pick(left.low, right.low), high: pick(left.high, right.high) };
}
