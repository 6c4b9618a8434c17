/**
 * Sizes: integer polynomials over size parameters, compared by normal form.
 *
 * A size stands for an integer ≥ 0, but differences of sizes are sizes too, so a polynomial may be negative
 * for some values of its parameters. Coefficients are exact: a result that does not fit 2^53, or that is too
 * long to be a size anyone wrote, is an invalid size, which is equal to nothing and of which nothing can be
 * proved.
 */

/** An atom of a monomial: a size parameter, or an exact quotient that does not simplify. */
export type SizeAtom =
  | { readonly kind: 'parameter'; readonly name: string }
  | { readonly kind: 'quotient'; readonly numerator: Size; readonly denominator: Size };

export interface SizeTerm {
  readonly coefficient: number;
  readonly atoms: readonly SizeAtom[];
}

/** A sum of monomials in normal form: sorted, no zero coefficient, equal sizes have equal `key`. */
export interface Size {
  readonly terms: readonly SizeTerm[];
  /**
   * Canonical text of the normal form: two sizes are equal as polynomials in their atoms iff their keys are.
   */
  readonly key: string;
}

const maximalTerms = 256;
const maximalDegree = 64;
const maximalKeyLength = 20_000;

const invalidSize: Size = { terms: [{ coefficient: Number.NaN, atoms: [] }], key: '(no size)' };

/** False for the result of an overflow or of a division by zero. */
export function isValidSize(size: Size): boolean {
  return size.key !== invalidSize.key;
}

export function natural(value: number): Size {
  if (!Number.isSafeInteger(value) || value < 0) return invalidSize;
  return fromTerms([{ coefficient: value, atoms: [] }]);
}

export function parameter(name: string): Size {
  return fromTerms([{ coefficient: 1, atoms: [{ kind: 'parameter', name }] }]);
}

/** The product of parameters: of mesh axes, the devices along them together. */
export function parameterProduct(names: readonly string[]): Size {
  return names.reduce((product, name) => multiplySizes(product, parameter(name)), natural(1));
}

/** The size of one monomial. */
export function termSize(term: SizeTerm): Size {
  return fromTerms([term]);
}

export function addSizes(left: Size, right: Size): Size {
  return fromTerms([...left.terms, ...right.terms]);
}

export function subtractSizes(left: Size, right: Size): Size {
  return fromTerms([...left.terms, ...right.terms.map((term) => scaleTerm(term, -1))]);
}

/** A quotient times its denominator is its numerator: `(N / G) * G` is `N`. */
export function multiplySizes(left: Size, right: Size): Size {
  if (!isValidSize(left) || !isValidSize(right)) return invalidSize;
  return cancelSumDenominator(left, right) ?? cancelSumDenominator(right, left) ?? productOf(left, right);
}

/**
 * `numerator / denominator`, exact: it stands for an integer only where the division leaves no remainder.
 * Simplified where that keeps the value; what does not simplify is a quotient atom. Invalid for denominator
 * 0.
 */
export function quotient(numerator: Size, denominator: Size): Size {
  if (!isValidSize(numerator) || denominator.terms.length === 0) return invalidSize;
  if (!isValidSize(denominator)) return invalidSize;
  const exact = divideExactly(numerator, denominator);
  if (exact) return exact;
  return (
    flattenedQuotient(numerator, denominator) ??
    reducedQuotient(numerator, denominator) ??
    mixedQuotient(numerator, denominator) ??
    fromTerms([{ coefficient: 1, atoms: [{ kind: 'quotient', numerator, denominator }] }])
  );
}

/** The polynomial that times `divisor` gives `dividend`, if there is one with integer coefficients. */
export function divideExactly(dividend: Size, divisor: Size): Size | undefined {
  const lead = divisor.terms[0];
  if (!lead || !isValidSize(dividend) || !isValidSize(divisor)) return undefined;
  const found: SizeTerm[] = [];
  let remainder = dividend;
  while (remainder.terms.length > 0) {
    const factor = divideTerm(remainder.terms[0]!, lead);
    if (!factor || found.length === maximalTerms) return undefined;
    found.push(factor);
    const taken = divisor.terms.map((term) => multiplyTerms(term, scaleTerm(factor, -1)));
    remainder = fromTerms([...remainder.terms, ...taken]);
    if (!isValidSize(remainder)) return undefined;
  }
  return cancelQuotients(fromTerms(found));
}

/** Whether two sizes are equal wherever both are defined, by normal form after clearing denominators. */
export function sameSize(left: Size, right: Size): boolean {
  if (!isValidSize(left) || !isValidSize(right)) return false;
  if (left.key === right.key) return true;
  const difference = clearDenominators(subtractSizes(left, right));
  return difference.terms.length === 0;
}

export function asNatural(size: Size): number | undefined {
  const [term] = size.terms;
  if (!term) return 0;
  const constant = size.terms.length === 1 && term.atoms.length === 0 && term.coefficient > 0;
  return constant ? term.coefficient : undefined;
}

/** Every parameter that occurs, inside quotients too. */
export function sizeParameters(size: Size): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (part: Size): void => {
    for (const atom of part.terms.flatMap((term) => term.atoms)) {
      if (atom.kind === 'parameter') names.add(atom.name);
      else {
        visit(atom.numerator);
        visit(atom.denominator);
      }
    }
  };
  visit(size);
  return names;
}

/** Puts sizes for parameters, all at once; those without a value stay. */
export function substituteSizes(size: Size, values: ReadonlyMap<string, Size>): Size {
  if (!isValidSize(size)) return invalidSize;
  return mapAtoms(size, (atom) =>
    atom.kind === 'parameter'
      ? (values.get(atom.name) ?? parameter(atom.name))
      : quotient(substituteSizes(atom.numerator, values), substituteSizes(atom.denominator, values)),
  );
}

/** Rebuilds a size with another size for each of its atoms. */
export function mapAtoms(size: Size, replace: (atom: SizeAtom) => Size): Size {
  const [term] = size.terms;
  // Most sizes are a number or one parameter, of which there is nothing to multiply or add.
  if (term === undefined || (size.terms.length === 1 && term.atoms.length === 0)) return size;
  if (size.terms.length === 1 && term.atoms.length === 1 && term.coefficient === 1)
    return replace(term.atoms[0]!);
  return sumOf(
    size.terms.map((term) =>
      term.atoms.reduce(
        (product, atom) => multiplySizes(product, replace(atom)),
        fromTerms([{ coefficient: term.coefficient, atoms: [] }]),
      ),
    ),
  );
}

/**
 * The value, which may be negative for a difference. Undefined for a parameter without a value, a quotient
 * that is not a natural number, and a value or an intermediate one beyond 2^53.
 */
export function evaluateSize(size: Size, values: ReadonlyMap<string, number>): number | undefined {
  let sum = 0;
  for (const term of size.terms) {
    let product = term.coefficient;
    for (const atom of term.atoms) {
      const value = evaluateAtom(atom, values);
      if (value === undefined) return undefined;
      product *= value;
    }
    sum += product;
    if (!Number.isSafeInteger(product) || !Number.isSafeInteger(sum)) return undefined;
  }
  return sum;
}

function evaluateAtom(atom: SizeAtom, values: ReadonlyMap<string, number>): number | undefined {
  if (atom.kind === 'parameter') return values.get(atom.name);
  const numerator = evaluateSize(atom.numerator, values);
  const denominator = evaluateSize(atom.denominator, values);
  if (numerator === undefined || denominator === undefined) return undefined;
  if (numerator < 0 || denominator <= 0 || numerator % denominator !== 0) return undefined;
  return numerator / denominator;
}

// ── text ───────────────────────────────────────────────────────────────────────────────────────────────────

/** The size as Ricci source: `G * R`, `2 * F + 1`, `F / 8`, `N - 1`. */
export function showSize(size: Size): string {
  if (!isValidSize(size)) return '(too large)';
  const positive = size.terms.filter((term) => term.coefficient > 0).map(showTerm);
  const negative = size.terms
    .filter((term) => term.coefficient < 0)
    .map((term) => showTerm(scaleTerm(term, -1)));
  const sum = positive.length === 0 ? '0' : positive.join(' + ');
  return [sum, ...negative].join(' - ');
}

function showTerm(term: SizeTerm): string {
  const [only] = term.atoms;
  if (term.atoms.length === 1 && only?.kind === 'quotient' && term.coefficient === 1)
    return showQuotient(only);
  const factors = term.atoms.map((atom) =>
    atom.kind === 'parameter' ? atom.name : `(${showQuotient(atom)})`,
  );
  return (term.coefficient === 1 && factors.length > 0 ? factors : [term.coefficient, ...factors]).join(
    ' * ',
  );
}

function showQuotient(atom: SizeAtom & { kind: 'quotient' }): string {
  const numerator = showSize(atom.numerator);
  const denominator = showSize(atom.denominator);
  const isSum = atom.numerator.terms.length > 1;
  const isCompound = /[^\p{L}\p{N}_]/u.test(denominator);
  return `${isSum ? `(${numerator})` : numerator} / ${isCompound ? `(${denominator})` : denominator}`;
}

// ── normal form ────────────────────────────────────────────────────────────────────────────────────────────

/** Distinct for distinct atoms; the key of a quotient is no identifier. */
export function atomKey(atom: SizeAtom): string {
  return atom.kind === 'parameter' ? atom.name : `((${atom.numerator.key})/(${atom.denominator.key}))`;
}

interface KeyedTerm {
  readonly coefficient: number;
  readonly atoms: readonly SizeAtom[];
  readonly keys: readonly string[];
}

/** Sorts and collects terms. Atoms are taken as they are: no quotient is cancelled. */
function fromTerms(terms: readonly SizeTerm[]): Size {
  const collected = new Map<string, KeyedTerm>();
  for (const term of terms) {
    const atoms = sortedAtoms(term.atoms);
    const keys = atoms.map(atomKey);
    const monomial = keys.join('*');
    const coefficient = (collected.get(monomial)?.coefficient ?? 0) + term.coefficient;
    if (!Number.isSafeInteger(coefficient) || atoms.length > maximalDegree) return invalidSize;
    collected.set(monomial, { coefficient, atoms, keys });
  }
  const sorted = [...collected.values()].filter(({ coefficient }) => coefficient !== 0);
  if (sorted.length > 1) sorted.sort((a, b) => compareMonomials(a.keys, b.keys));
  const key = sorted.map(({ coefficient, keys }) => [coefficient, ...keys].join('*')).join('+');
  if (sorted.length > maximalTerms || key.length > maximalKeyLength) return invalidSize;
  return { terms: sorted.map(({ coefficient, atoms }) => ({ coefficient, atoms })), key };
}

function sortedAtoms(atoms: readonly SizeAtom[]): readonly SizeAtom[] {
  return atoms.length < 2 ? atoms : [...atoms].sort((a, b) => compare(atomKey(a), atomKey(b)));
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Graded lexicographic order, greatest first: an order that multiplication keeps, so that division ends. */
function compareMonomials(left: readonly string[], right: readonly string[]): number {
  if (left.length !== right.length) return right.length - left.length;
  const differing = left.findIndex((key, position) => key !== right[position]);
  return differing < 0 ? 0 : compare(left[differing]!, right[differing]!);
}

function scaleTerm(term: SizeTerm, factor: number): SizeTerm {
  return { coefficient: term.coefficient * factor, atoms: term.atoms };
}

function multiplyTerms(left: SizeTerm, right: SizeTerm): SizeTerm {
  return { coefficient: left.coefficient * right.coefficient, atoms: [...left.atoms, ...right.atoms] };
}

/** The monomial that times `divisor` gives `dividend`, atoms taken as they are. */
export function divideTerm(dividend: SizeTerm, divisor: SizeTerm): SizeTerm | undefined {
  if (dividend.coefficient % divisor.coefficient !== 0) return undefined;
  const atoms = withoutAtoms(dividend.atoms, divisor.atoms);
  return atoms && { coefficient: dividend.coefficient / divisor.coefficient, atoms };
}

/** The multiset difference, if the second is part of the first. */
export function withoutAtoms(
  atoms: readonly SizeAtom[],
  removed: readonly SizeAtom[],
): readonly SizeAtom[] | undefined {
  const rest = [...atoms];
  for (const atom of removed) {
    const position = rest.findIndex((candidate) => atomKey(candidate) === atomKey(atom));
    if (position < 0) return undefined;
    rest.splice(position, 1);
  }
  return rest;
}

function sumOf(sizes: readonly Size[]): Size {
  return fromTerms(sizes.flatMap((size) => size.terms));
}

function productOf(left: Size, right: Size): Size {
  const terms = left.terms.flatMap((term) => right.terms.map((other) => multiplyTerms(term, other)));
  return cancelQuotients(fromTerms(terms));
}

type QuotientAtom = SizeAtom & { readonly kind: 'quotient' };

/** `factor` is one monomial with a quotient whose denominator, a sum, divides `other`. */
function cancelSumDenominator(factor: Size, other: Size): Size | undefined {
  const [term] = factor.terms;
  if (!term || factor.terms.length > 1) return undefined;
  for (const atom of term.atoms) {
    if (atom.kind === 'parameter' || atom.denominator.terms.length < 2) continue;
    const rest = divideExactly(other, atom.denominator);
    if (!rest) continue;
    const others = termSize({ coefficient: term.coefficient, atoms: withoutAtoms(term.atoms, [atom])! });
    return multiplySizes(multiplySizes(others, atom.numerator), rest);
  }
  return undefined;
}

/** Replaces `(n / d) * d` by `n` in every term where d is one monomial. */
function cancelQuotients(size: Size): Size {
  if (!isValidSize(size) || !size.terms.some((term) => term.atoms.some((atom) => atom.kind === 'quotient')))
    return size;
  return sumOf(size.terms.map((term) => cancelTerm(term) ?? termSize(term)));
}

function cancelTerm(term: SizeTerm): Size | undefined {
  for (const atom of term.atoms) {
    if (atom.kind === 'parameter' || atom.denominator.terms.length !== 1) continue;
    const others: SizeTerm = { coefficient: term.coefficient, atoms: withoutAtoms(term.atoms, [atom])! };
    const rest = divideTerm(others, atom.denominator.terms[0]!);
    if (rest) return multiplySizes(termSize(rest), atom.numerator);
  }
  return undefined;
}

// ── quotients ──────────────────────────────────────────────────────────────────────────────────────────────

/** `(n / d) * m / b` is `n * m / (d * b)`, and `a / (n / d)` is `a * d / n`. */
function flattenedQuotient(numerator: Size, denominator: Size): Size | undefined {
  const above = splitQuotient(numerator);
  if (above) {
    return quotient(
      multiplySizes(above.rest, above.atom.numerator),
      multiplySizes(denominator, above.atom.denominator),
    );
  }
  const below = splitQuotient(denominator);
  if (!below) return undefined;
  return quotient(
    multiplySizes(numerator, below.atom.denominator),
    multiplySizes(below.rest, below.atom.numerator),
  );
}

function splitQuotient(size: Size): { readonly atom: QuotientAtom; readonly rest: Size } | undefined {
  const [term] = size.terms;
  if (!term || size.terms.length > 1) return undefined;
  const atom = term.atoms.find((candidate) => candidate.kind === 'quotient');
  return (
    atom && {
      atom,
      rest: termSize({ coefficient: term.coefficient, atoms: withoutAtoms(term.atoms, [atom])! }),
    }
  );
}

/** Both sides without the monomial that divides every term of both. */
function reducedQuotient(numerator: Size, denominator: Size): Size | undefined {
  const terms = [...numerator.terms, ...denominator.terms];
  const coefficient = terms.reduce((divisor, term) => greatestCommonDivisor(divisor, term.coefficient), 0);
  const atoms = terms.map((term) => term.atoms).reduce(commonAtoms);
  if (coefficient === 1 && atoms.length === 0) return undefined;
  const common = termSize({ coefficient, atoms });
  return quotient(divideExactly(numerator, common)!, divideExactly(denominator, common)!);
}

function commonAtoms(left: readonly SizeAtom[], right: readonly SizeAtom[]): readonly SizeAtom[] {
  const rest = right.map(atomKey);
  return left.filter((atom) => {
    const position = rest.indexOf(atomKey(atom));
    if (position >= 0) rest.splice(position, 1);
    return position >= 0;
  });
}

export function greatestCommonDivisor(left: number, right: number): number {
  return right === 0 ? Math.abs(left) : greatestCommonDivisor(right, left % right);
}

/** `(8 * F + G) / 8` is `F + G / 8`, as long as what is left above the line cannot be negative. */
function mixedQuotient(numerator: Size, denominator: Size): Size | undefined {
  const [divisor] = denominator.terms;
  if (!divisor || denominator.terms.length > 1) return undefined;
  const whole = numerator.terms.flatMap((term) => divideTerm(term, divisor) ?? []);
  const rest = numerator.terms.filter((term) => !divideTerm(term, divisor));
  if (whole.length === 0 || rest.some((term) => term.coefficient < 0)) return undefined;
  return addSizes(cancelQuotients(fromTerms(whole)), quotient(fromTerms(rest), denominator));
}

/** The size times the denominators of all its quotients: of the same sign, wherever it is defined. */
export function clearDenominators(size: Size): Size {
  let cleared = size;
  for (let round = 0; round < maximalDegree; round += 1) {
    const atom = cleared.terms
      .flatMap((term) => term.atoms)
      .find((candidate) => candidate.kind === 'quotient');
    if (!atom) return cleared;
    const key = atomKey(atom);
    cleared = sumOf(
      cleared.terms.map((term) => {
        const position = term.atoms.findIndex((candidate) => atomKey(candidate) === key);
        if (position < 0) return multiplySizes(termSize(term), atom.denominator);
        const others = term.atoms.filter((_, index) => index !== position);
        return multiplySizes(termSize({ coefficient: term.coefficient, atoms: others }), atom.numerator);
      }),
    );
  }
  return cleared;
}
