/**
 * What is known about sizes, and what follows from it. `prove` is sound and incomplete: where it says yes,
 * the fact holds for all natural values of the parameters for which the assumed facts hold and all quotients
 * are defined.
 *
 * Inequalities are proved backwards: a negative term of the goal can only be made up for by an assumption
 * that has a negative multiple of it, so such assumptions are subtracted, times a monomial, until no negative
 * term is left. Divisibility is proved likewise, by subtracting multiples of the divisor and of dividends
 * that are known.
 */

import { isRefuted } from './models.ts';
import { holds, type SizeRelation } from './relation.ts';
import type { Size, SizeAtom, SizeTerm } from './size.ts';
import {
  addSizes,
  atomKey,
  clearDenominators,
  divideExactly,
  divideTerm,
  evaluateSize,
  greatestCommonDivisor,
  isValidSize,
  mapAtoms,
  multiplySizes,
  natural,
  parameter,
  sameSize,
  subtractSizes,
  termSize,
  withoutAtoms,
} from './size.ts';

export interface Fact {
  /** `a | b`: a divides b, and so is not 0: `b / a` has a value. `a % b`: b divides a. */
  readonly relation: SizeRelation;
  readonly left: Size;
  readonly right: Size;
}

interface Division {
  readonly divisor: Size;
  readonly dividend: Size;
}

/** Assumed facts as polynomials in which each quotient is a parameter of its own. */
export interface Facts {
  /** Sizes that are ≥ 0, beside those without a negative term. */
  readonly nonnegative: readonly Size[];
  /** An equality is the division of a difference by 0. */
  readonly divisions: readonly Division[];
}

export const noFacts: Facts = { nonnegative: [], divisions: [] };

/** Assumes one more fact. A fact about an invalid size says nothing. */
export function withFact(facts: Facts, fact: Fact): Facts {
  return withFacts(facts, [fact]);
}

/** Assumes more facts: what follows from them all is looked for once. */
export function withFacts(facts: Facts, more: Iterable<Fact>): Facts {
  let extended = facts;
  for (const fact of more) {
    const opened = openFact(fact);
    if (opened === undefined) continue;
    const before = merge(extended, opened.definitions);
    extended = merge(before, assumptions[fact.relation](opened.left, opened.right));
  }
  if (extended === facts) return facts;
  return merge(extended, { nonnegative: boundsOfDivisors(extended), divisions: [] });
}

export function prove(facts: Facts, fact: Fact): boolean {
  if (fact.relation === '==' && sameSize(fact.left, fact.right)) return true;
  const opened = openFact(fact);
  return opened !== undefined && provers[fact.relation](merge(facts, opened.definitions), opened);
}

/**
 * Whether the fact holds for these values. Undefined where a side has no value: a missing parameter, an
 * inexact quotient, an overflow.
 */
export function decide(fact: Fact, values: ReadonlyMap<string, number>): boolean | undefined {
  const left = evaluateSize(fact.left, values);
  const right = evaluateSize(fact.right, values);
  return left === undefined || right === undefined ? undefined : holds(fact.relation, left, right);
}

const one = natural(1);
const zero = natural(0);

const assumptions: { readonly [R in Fact['relation']]: (left: Size, right: Size) => Facts } = {
  '<=': (left, right) => ({ nonnegative: [subtractSizes(right, left)], divisions: [] }),
  '<': (left, right) => ({ nonnegative: [subtractSizes(subtractSizes(right, left), one)], divisions: [] }),
  '==': equality,
  '|': (divisor, dividend) => division(divisor, dividend),
  '%': (dividend, divisor) => division(divisor, dividend),
};

function division(divisor: Size, dividend: Size): Facts {
  return { nonnegative: [subtractSizes(divisor, one)], divisions: [{ divisor, dividend }] };
}

function equality(left: Size, right: Size): Facts {
  const difference = subtractSizes(left, right);
  return {
    nonnegative: [difference, subtractSizes(right, left)],
    divisions: [{ divisor: zero, dividend: difference }],
  };
}

const provers: { readonly [R in Fact['relation']]: (facts: Facts, goal: OpenedFact) => boolean } = {
  '<=': (facts, { left, right, excess }) =>
    isNonnegative(facts, subtractSizes(right, left)) || isNonnegative(facts, excess),
  '<': (facts, { left, right, excess }) =>
    isNonnegative(facts, subtractSizes(subtractSizes(right, left), one)) ||
    isNonnegative(facts, subtractSizes(excess, one)),
  '==': (facts, { left, right, excess }) =>
    isZero(facts, subtractSizes(right, left)) || isZero(facts, excess),
  '|': (facts, { left, right }) => isDivisor(facts, left, right),
  '%': (facts, { left, right }) => isDivisor(facts, right, left),
};

function isDivisor(facts: Facts, divisor: Size, dividend: Size): boolean {
  return isNonnegative(facts, subtractSizes(divisor, one)) && isDivisible(facts, divisor, dividend);
}

function isZero(facts: Facts, goal: Size): boolean {
  return (
    isDivisible(facts, zero, goal) ||
    (isNonnegative(facts, goal) && isNonnegative(facts, subtractSizes(zero, goal)))
  );
}

function merge(facts: Facts, more: Facts): Facts {
  if (more.nonnegative.length + more.divisions.length === 0) return facts;
  const isNews = (size: Size): boolean =>
    size.terms.some((term) => term.coefficient < 0) && !facts.nonnegative.some(({ key }) => key === size.key);
  const isNewDivision = ({ dividend, divisor }: Division): boolean =>
    !facts.divisions.some((known) => sameSize(known.divisor, divisor) && sameSize(known.dividend, dividend));
  return {
    nonnegative: [...facts.nonnegative, ...more.nonnegative.map(tighten).filter(isNews)],
    divisions: [...facts.divisions, ...more.divisions.filter(isNewDivision)],
  };
}

/** A divisor of a positive number is no greater. */
function boundsOfDivisors(facts: Facts): readonly Size[] {
  return facts.divisions.flatMap(({ divisor, dividend }) =>
    isNonnegative(facts, divisor) && isNonnegative(facts, subtractSizes(dividend, one))
      ? [subtractSizes(dividend, divisor)]
      : [],
  );
}

// ── quotients ──────────────────────────────────────────────────────────────────────────────────────────────

interface OpenedFact {
  readonly left: Size;
  readonly right: Size;
  /** The right less the left, times the denominators of its quotients: of the same sign. */
  readonly excess: Size;
  /** What the quotients in it are: `d * q == n`, `d | n` and `d >= 1` for each `q = n / d`. */
  readonly definitions: Facts;
}

function openFact(fact: Fact): OpenedFact | undefined {
  if (!isValidSize(fact.left) || !isValidSize(fact.right)) return undefined;
  const definitions = new Map<string, Facts>();
  const left = openQuotients(fact.left, definitions);
  const right = openQuotients(fact.right, definitions);
  const excess = openQuotients(clearDenominators(subtractSizes(fact.right, fact.left)), definitions);
  return { left, right, excess, definitions: [...definitions.values()].reduce(merge, noFacts) };
}

/** The size with a parameter for each quotient; collects what is known of them. */
function openQuotients(size: Size, definitions: Map<string, Facts>): Size {
  return mapAtoms(size, (atom) =>
    atom.kind === 'parameter' ? parameter(atom.name) : open(atom, definitions),
  );
}

function open(atom: SizeAtom & { readonly kind: 'quotient' }, definitions: Map<string, Facts>): Size {
  const key = atomKey(atom);
  const value = parameter(key);
  if (!definitions.has(key)) {
    const dividend = openQuotients(atom.numerator, definitions);
    const divisor = openQuotients(atom.denominator, definitions);
    definitions.set(
      key,
      merge(equality(multiplySizes(divisor, value), dividend), division(divisor, dividend)),
    );
  }
  return value;
}

// ── inequalities ───────────────────────────────────────────────────────────────────────────────────────────

const maximalDepth = 8;
/** Goals looked at in one proof: at about 50 µs each, some milliseconds for what cannot be proved. */
const maximalGoals = 150;

/** Bounds the work of one proof; a goal that failed is not tried again with as little depth left. */
interface Search {
  goals: number;
  /** Whether depth, not lack of assumptions, ended the search somewhere. */
  cut: boolean;
  readonly failed: Map<string, number>;
}

/** Proofs up to this depth are looked for before a counterexample is. */
const shortProof = 1;

/** Short proofs first: tries with more and more depth, unless there is a counterexample. */
function deepen(attempt: (depth: number, search: Search) => boolean, isFalse: () => boolean): boolean {
  const search: Search = { goals: maximalGoals, cut: true, failed: new Map() };
  for (let depth = 0; depth <= maximalDepth && search.cut && search.goals > 0; depth += 1) {
    search.cut = false;
    if (attempt(depth, search)) return true;
    if (depth === shortProof && isFalse()) return false;
  }
  return false;
}

function enter(search: Search, goal: string, depth: number): boolean {
  if (depth === 0) search.cut = true;
  if (depth === 0 || (search.failed.get(goal) ?? 0) >= depth) return false;
  search.failed.set(goal, depth);
  return true;
}

function isNonnegative(facts: Facts, goal: Size): boolean {
  return deepen(
    (depth, search) => searchNonnegative(facts.nonnegative, goal, depth, search),
    () => isRefuted(facts, [goal], (value) => value < 0),
  );
}

function searchNonnegative(known: readonly Size[], goal: Size, depth: number, search: Search): boolean {
  search.goals -= 1;
  if (search.goals < 0 || !isValidSize(goal)) return false;
  const tight = tighten(goal);
  const target = tight.terms.find((term) => term.coefficient < 0);
  if (!target) return true;
  if (!enter(search, tight.key, depth)) return false;
  return known.some((size) =>
    size.terms.some((term) =>
      remainders(tight, target, size, term).some((rest) => searchNonnegative(known, rest, depth - 1, search)),
    ),
  );
}

/**
 * The goal less a multiple of a known nonnegative size, so that `target` goes, or becomes smaller by one use
 * of the known size. The goal follows from any of these.
 */
function remainders(goal: Size, target: SizeTerm, known: Size, term: SizeTerm): readonly Size[] {
  const atoms = term.coefficient < 0 ? withoutAtoms(target.atoms, term.atoms) : undefined;
  if (!atoms) return [];
  const factor = greatestCommonDivisor(target.coefficient, term.coefficient);
  const whole = subtractSizes(
    multiplySizes(goal, natural(-term.coefficient / factor)),
    multiplySizes(known, termSize({ coefficient: -target.coefficient / factor, atoms })),
  );
  if (target.coefficient >= term.coefficient) return [whole];
  return [whole, subtractSizes(goal, multiplySizes(known, termSize({ coefficient: 1, atoms })))];
}

/** Divides by the common divisor of all but the constant: over the integers, 2 * a >= 1 iff a >= 1. */
function tighten(goal: Size): Size {
  const variable = goal.terms.filter((term) => term.atoms.length > 0);
  const divisor = variable.reduce((found, term) => greatestCommonDivisor(found, term.coefficient), 0);
  if (divisor <= 1) return goal;
  return goal.terms
    .map((term) => termSize({ ...term, coefficient: Math.floor(term.coefficient / divisor) }))
    .reduce(addSizes, zero);
}

// ── divisibility ───────────────────────────────────────────────────────────────────────────────────────────

function isDivisible(facts: Facts, divisor: Size, dividend: Size): boolean {
  return deepen(
    (depth, search) => searchDivisible(facts.divisions, divisor, dividend, depth, search),
    () => isRefuted(facts, [divisor, dividend], (by, of) => (by === 0 ? of !== 0 : of % by !== 0)),
  );
}

/** Whether `divisor | dividend`, where a multiple of the divisor may be subtracted at will. */
function searchDivisible(
  known: readonly Division[],
  divisor: Size,
  dividend: Size,
  depth: number,
  search: Search,
): boolean {
  search.goals -= 1;
  if (search.goals < 0 || !isValidSize(dividend) || !isValidSize(divisor)) return false;
  const rest = withoutMultiples(dividend, divisor);
  const target = rest.terms[0];
  if (!target || divideExactly(rest, divisor)) return true;
  if (!enter(search, `${divisor.key} | ${rest.key}`, depth)) return false;
  return known.some((fact) =>
    fact.dividend.terms.some((term) => {
      const factor = divideTerm(target, term);
      if (!factor) return false;
      const multiple = termSize(factor);
      return (
        searchDivisible(known, divisor, multiplySizes(fact.divisor, multiple), depth - 1, search) &&
        searchDivisible(
          known,
          divisor,
          subtractSizes(rest, multiplySizes(fact.dividend, multiple)),
          depth - 1,
          search,
        )
      );
    }),
  );
}

/** Without the terms that a divisor of one term divides by themselves. */
function withoutMultiples(dividend: Size, divisor: Size): Size {
  const [only] = divisor.terms;
  if (!only || divisor.terms.length > 1) return dividend;
  return dividend.terms
    .filter((term) => !divideTerm(term, only))
    .map(termSize)
    .reduce(addSizes, zero);
}
