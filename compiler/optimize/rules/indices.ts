/**
 * Index arithmetic: affine normal form, quotients and remainders of split and merged dimensions, known
 * ranges.
 */

import type { Scalar } from '../../graph/graph.ts';
import { apply, boolean, constant, integer } from '../../graph/scalar.ts';
import {
  type Affine,
  affineOf,
  exactRange,
  fromAffine,
  neverWraps,
  subtract,
} from '../expressions/affine.ts';
import {
  anyConstant, call, hole, integers, isConstant, numberOf, type Rule, type RuleContext,
} from './rule.ts'; // biome-ignore format: one import a file

const i32 = ['i32'] as const;

/** Joins `(x // c) * (k c) + (x mod c) * k` to `x * k`: a subscript split and merged again. Once. */
function rejoinOnce(form: Affine): Affine | undefined {
  for (const [rest, coefficient] of form.terms) {
    if (rest.op !== 'apply' || rest.function !== 'mod') continue;
    const [whole, divisor] = rest.operands;
    for (const [quotient, factor] of form.terms) {
      if (factor !== coefficient * numberOf(divisor) || !isQuotient(quotient, whole!, numberOf(divisor)))
        continue;
      const terms = new Map(form.terms);
      terms.delete(rest);
      terms.delete(quotient);
      const joined = (terms.get(whole!) ?? 0) + coefficient;
      if (joined === 0) terms.delete(whole!);
      else terms.set(whole!, joined);
      return { constant: form.constant, terms };
    }
  }
  return undefined;
}

/**
 * Whether `scalar` is `whole // divisor`, also where `whole` is itself a quotient and the two were made one.
 */
function isQuotient(scalar: Scalar, whole: Scalar, divisor: number): boolean {
  if (scalar.op !== 'apply' || scalar.function !== 'floordiv') return false;
  const [dividend, by] = scalar.operands;
  if (dividend === whole) return numberOf(by) === divisor;
  if (whole.op !== 'apply' || whole.function !== 'floordiv' || whole.operands[0] !== dividend) return false;
  return numberOf(by) === numberOf(whole.operands[1]) * divisor;
}

function rejoin(form: Affine): Affine {
  for (let current = form; ; ) {
    const next = rejoinOnce(current);
    if (next === undefined) return current;
    current = next;
  }
}

function normalise(scalar: Scalar, { interner }: RuleContext): Scalar | undefined {
  const form = affineOf(interner.intern(scalar));
  return form === undefined ? undefined : fromAffine(rejoin(form), interner);
}

const normalForm: readonly Rule[] = (['add', 'sub', 'mul'] as const).map((operation) => ({
  name: `affine normal form of ${operation}`,
  types: i32,
  from: call(
    operation,
    hole('x', 'affine'),
    operation === 'mul' ? anyConstant('y', [-3, 2, 5]) : hole('y', 'affine'),
  ),
  to: ({ x, y }, context) => normalise(apply(operation, x!, y!), context),
}));

/**
 * `form = divisor * quotient + rest`, rest without the multiples of the divisor and its constant in [0,
 * divisor).
 */
function divide(form: Affine, divisor: number): { readonly quotient: Affine; readonly rest: Affine } {
  const quotient = new Map<Scalar, number>();
  const rest = new Map<Scalar, number>();
  for (const [atom, coefficient] of form.terms) {
    const times = Math.floor(coefficient / divisor);
    const over = coefficient - times * divisor;
    if (over === 0) quotient.set(atom, times);
    else rest.set(atom, coefficient);
  }
  const times = Math.floor(form.constant / divisor);
  return {
    quotient: { constant: times, terms: quotient },
    rest: { constant: form.constant - times * divisor, terms: rest },
  };
}

/**
 * Quotient and remainder of an expression that does not wrap, by a positive constant; as small as ranges
 * allow.
 */
function quotientAndRest(scalar: Scalar, by: Scalar, { interner, range }: RuleContext) {
  const divisor = numberOf(by);
  const form = affineOf(scalar);
  if (form === undefined || divisor <= 0 || !neverWraps(form, range)) return undefined;
  const { quotient, rest } = divide(form, divisor);
  // The parts must not wrap either where the whole does not.
  if (!neverWraps(quotient, range) || !neverWraps(rest, range)) return undefined;
  const interval = exactRange(rest, range);
  const turns = Math.floor(interval.low / divisor);
  const settled = Math.floor(interval.high / divisor) === turns;
  const add = (affine: Affine, more: number): Affine => ({ ...affine, constant: affine.constant + more });
  if (settled)
    return {
      quotient: fromAffine(add(quotient, turns), interner),
      rest: fromAffine(add(rest, -turns * divisor), interner),
    };
  if (quotient.terms.size === 0 && quotient.constant === 0)
    return commonFactor(rest, by, { interner, range });
  const inner = fromAffine(rest, interner);
  return {
    quotient: apply('add', fromAffine(quotient, interner), apply('floordiv', inner, by)),
    rest: apply('mod', inner, by),
  };
}

/**
 * `(a g + rest) // (a b) = g // b` and `(a g + rest) mod (a b) = a (g mod b) + rest` where rest lies in [0,
 * a): a subscript merged from `g` and `rest` and split elsewhere.
 */
function commonFactor(form: Affine, by: Scalar, { interner, range }: RuleContext) {
  const divisor = numberOf(by);
  for (const factor of new Set([...form.terms.values()].map(Math.abs))) {
    if (factor <= 1 || factor >= divisor || divisor % factor !== 0) continue;
    const { quotient, rest } = divide(form, factor);
    const interval = exactRange(rest, range);
    if (quotient.terms.size === 0 || interval.low < 0 || interval.high >= factor) continue;
    const inner = fromAffine(quotient, interner);
    const outer = integer(divisor / factor);
    const over = apply('mul', apply('mod', inner, outer), integer(factor));
    return {
      quotient: apply('floordiv', inner, outer),
      rest: apply('add', over, fromAffine(rest, interner)),
    };
  }
  return undefined;
}

const divisors = [1, 2, 3, 4, 6, 12];

const quotients: readonly Rule[] = [
  {
    name: 'floordiv of an affine form',
    types: i32,
    from: call('floordiv', hole('x', 'affine'), anyConstant('c', divisors)),
    to: ({ x, c }, context) => quotientAndRest(x!, c!, context)?.quotient,
  },
  {
    name: 'mod of an affine form',
    types: i32,
    from: call('mod', hole('x', 'affine'), anyConstant('c', divisors)),
    to: ({ x, c }, context) => quotientAndRest(x!, c!, context)?.rest,
  },
  {
    name: '(x // c) // d = x // (c d)',
    types: i32,
    from: call(
      'floordiv',
      call('floordiv', hole('x'), anyConstant('c', divisors)),
      anyConstant('d', divisors),
    ),
    to: ({ x, c, d }) =>
      isDivisor(c!, d!) ? apply('floordiv', x!, integer(numberOf(c) * numberOf(d))) : undefined,
  },
  {
    name: '(x mod c) mod d = x mod d where d divides c',
    types: integers,
    from: call(
      'mod',
      call('mod', hole('x', 'natural'), anyConstant('c', divisors)),
      anyConstant('d', divisors),
    ),
    to: ({ x, c, d }) =>
      isDivisor(c!, d!) && numberOf(c) % numberOf(d) === 0 ? apply('mod', x!, d!) : undefined,
  },
  {
    name: '(x mod c) // d = (x // d) mod (c / d) where d divides c',
    types: i32,
    from: call('floordiv', call('mod', hole('x'), anyConstant('c', divisors)), anyConstant('d', divisors)),
    to: ({ x, c, d }) =>
      isDivisor(c!, d!) && numberOf(c) % numberOf(d) === 0
        ? apply('mod', apply('floordiv', x!, d!), integer(numberOf(c) / numberOf(d)))
        : undefined,
  },
];

/** Both positive, with a product that is an i32. */
function isDivisor(first: Scalar, second: Scalar): boolean {
  return numberOf(first) > 0 && numberOf(second) > 0 && numberOf(first) * numberOf(second) < 2 ** 31;
}

/** Comparisons and choices decided by the interval of the difference, in which common terms cancel. */
function difference(x: Scalar, y: Scalar, { interner, range }: RuleContext) {
  const left = affineOf(interner.intern(x));
  const right = affineOf(interner.intern(y));
  if (left === undefined || right === undefined) return undefined;
  if (!neverWraps(left, range) || !neverWraps(right, range)) return undefined;
  return exactRange(subtract(right, left), range);
}

const comparisons: readonly Rule[] = (
  [
    ['lt', (low: number, high: number) => (low > 0 ? true : high <= 0 ? false : undefined)],
    ['le', (low: number, high: number) => (low >= 0 ? true : high < 0 ? false : undefined)],
    ['eq', (low: number, high: number) => (low > 0 || high < 0 ? false : undefined)],
    ['ne', (low: number, high: number) => (low > 0 || high < 0 ? true : undefined)],
  ] as const
).map(([comparison, decide]) => ({
  name: `${comparison} decided by the difference`,
  types: i32,
  from: call(comparison, hole('x', 'affine'), hole('y', 'affine')),
  to: ({ x, y }, context) => {
    const interval = difference(x!, y!, context);
    const holds = interval && decide(interval.low, interval.high);
    return holds === undefined ? undefined : boolean(holds);
  },
}));

const choices: readonly Rule[] = (['min', 'max'] as const).map((choice) => ({
  name: `${choice} decided by the difference`,
  types: i32,
  from: call(choice, hole('x', 'affine'), hole('y', 'affine')),
  to: ({ x, y }, context) => {
    const interval = difference(x!, y!, context);
    if (interval === undefined) return undefined;
    if (interval.low >= 0) return choice === 'min' ? x : y;
    if (interval.high <= 0) return choice === 'min' ? y : x;
    return undefined;
  },
}));

export const indexRules: readonly Rule[] = [
  {
    name: 'an integer of which there is one value',
    types: integers,
    from: hole('x', 'affine'),
    to: ({ x }, { range }, type) => {
      const interval = range(x!);
      return !isConstant(x!) && interval.low === interval.high ? constant(type, interval.low) : undefined;
    },
  },
  ...normalForm,
  ...quotients,
  ...comparisons,
  ...choices,
];
