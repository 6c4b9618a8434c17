/** Finds the size parameters of a callee from the dimensions of its arguments. */
import type { Fact } from './facts.ts';
import { decide } from './facts.ts';
import type { Size, SizeTerm } from './size.ts';
import {
  addSizes,
  asNatural,
  divideExactly,
  multiplySizes,
  natural,
  parameter,
  quotient,
  sameSize,
  sizeParameters,
  substituteSizes,
  subtractSizes,
  termSize,
  withoutAtoms,
} from './size.ts';

/**
 * `pattern` is in terms of the callee's size parameters, `actual` of the caller's: equal names are not the
 * same.
 */
export interface SizeEquation {
  readonly pattern: Size;
  readonly actual: Size;
}

export type SizeSolution =
  | {
      readonly kind: 'solved';
      readonly values: ReadonlyMap<string, Size>;
      /** What must hold, in terms of the caller, for the values to be natural numbers. */
      readonly obligations: readonly Fact[];
    }
  /** `pattern` has the values found by then in place of its parameters. */
  | { readonly kind: 'mismatch'; readonly equation: number; readonly pattern: Size; readonly actual: Size }
  | { readonly kind: 'undetermined'; readonly unknowns: readonly string[] };

/**
 * Solves for the `unknowns` that occur in the patterns, each from an equation that has no other unknown left
 * and in which it occurs once, until nothing more is found; then compares both sides of every equation by
 * normal form. Divisions without remainder come first: others are obligations. An unknown that would have to
 * be a fraction or negative is a mismatch. A product with a factor 0 says nothing about its other factors.
 */
export function solveSizes(equations: readonly SizeEquation[], unknowns: ReadonlySet<string>): SizeSolution {
  const renaming = new Map([...unknowns].map((name) => [name, parameter(freshName(name))]));
  const open = equations.map(({ pattern, actual }) => ({
    pattern: substituteSizes(pattern, renaming),
    actual,
  }));
  const values = new Map<string, Size>();
  const obligations: Fact[] = [];
  for (;;) {
    const found = findValue(open, values);
    if (!found) break;
    if (found.obligations.some((obligation) => decide(obligation, new Map()) === false)) {
      const { pattern, actual } = open[found.equation]!;
      const written = new Map([...unknowns].map((name) => [freshName(name), parameter(name)]));
      const known = substituteSizes(substituteSizes(pattern, values), written);
      return { kind: 'mismatch', equation: found.equation, pattern: known, actual };
    }
    values.set(found.name, found.value);
    obligations.push(...found.obligations);
  }
  const compared = open.map(({ pattern, actual }) => ({ pattern: substituteSizes(pattern, values), actual }));
  const wrong = compared.findIndex(
    ({ pattern, actual }) => unknownsOf(pattern).length === 0 && !sameSize(pattern, actual),
  );
  if (wrong >= 0) return { kind: 'mismatch', equation: wrong, ...compared[wrong]! };
  const missing = [...unknowns].filter((name) => !values.has(freshName(name)));
  if (missing.length > 0) return { kind: 'undetermined', unknowns: missing };
  return {
    kind: 'solved',
    values: new Map([...unknowns].map((name) => [name, values.get(freshName(name))!])),
    obligations,
  };
}

/** No identifier, so distinct from every parameter of the caller. */
function freshName(name: string): string {
  return `?${name}`;
}

function unknownsOf(size: Size): readonly string[] {
  return [...sizeParameters(size)].filter((name) => name.startsWith('?'));
}

interface Solved {
  readonly name: string;
  readonly value: Size;
  readonly obligations: readonly Fact[];
}

interface Found extends Solved {
  readonly equation: number;
}

function findValue(equations: readonly SizeEquation[], values: ReadonlyMap<string, Size>): Found | undefined {
  const found = equations.flatMap(({ pattern, actual }, equation) => {
    const known = substituteSizes(pattern, values);
    const [name, ...others] = unknownsOf(known);
    const solution = name && others.length === 0 ? isolate(known, name, actual) : undefined;
    return solution ? { ...solution, equation } : [];
  });
  return found.find(({ obligations }) => obligations.length === 0) ?? found[0];
}

/** Solves `factor * atom + rest = actual`, where only `atom` contains the unknown, for the unknown. */
function isolate(pattern: Size, name: string, actual: Size): Solved | undefined {
  const holding = pattern.terms.filter((term) => sizeParameters(termSize(term)).has(name));
  const others = pattern.terms.filter((term) => !holding.includes(term)).map(termSize);
  const rest = others.reduce(addSizes, natural(0));
  const atoms = (holding[0]?.atoms ?? []).filter((atom) =>
    sizeParameters(termSize({ coefficient: 1, atoms: [atom] })).has(name),
  );
  const [atom] = atoms;
  if (!atom || atoms.length > 1) return undefined;
  const factor = holding.reduce<Size | undefined>((sum, term) => {
    const atomsLeft = withoutAtoms(term.atoms, [atom]);
    const cofactor: SizeTerm | undefined = atomsLeft && { coefficient: term.coefficient, atoms: atomsLeft };
    return sum && cofactor && addSizes(sum, termSize(cofactor));
  }, natural(0));
  if (!factor || sizeParameters(factor).has(name)) return undefined;
  const product = subtractSizes(actual, rest);
  const value = quotient(product, factor);
  const obligations: Fact[] = [];
  if (product.terms.some((term) => term.coefficient < 0)) {
    obligations.push({ relation: '<=', left: rest, right: actual });
  }
  // A factor that may be 0 says nothing about the sign of the value.
  if (asNatural(factor) === undefined && value.terms.some((term) => term.coefficient < 0)) {
    obligations.push({ relation: '<=', left: natural(0), right: value });
  }
  if (!divideExactly(product, factor)) obligations.push({ relation: '|', left: factor, right: product });
  if (atom.kind === 'parameter') return { name, value, obligations };
  if (sizeParameters(atom.denominator).has(name)) return undefined;
  const inner = isolate(atom.numerator, name, multiplySizes(value, atom.denominator));
  return inner && { ...inner, obligations: [...obligations, ...inner.obligations] };
}
