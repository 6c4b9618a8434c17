/** Facts about sizes that must hold: proved from what is known, or reported with the `where` clause that would do. */
import type { Fix, Label, Span } from '../diagnostics/diagnostic.ts';
import type { FunctionDeclaration } from '../syntax/tree.ts';
import { type Fact, type Facts, prove } from './facts.ts';
import { insertFix, type Report } from './report.ts';
import { natural, type Size, sameSize } from './size.ts';
import type { TypeCode } from './type-codes.ts';
import { isKnown, showName } from './types.ts';

export interface FactScope {
  readonly facts: Facts;
  readonly report: Report;
  /** Where a `where` clause could be added. */
  readonly declaration: FunctionDeclaration | undefined;
}

export interface Requirement {
  readonly code: TypeCode;
  readonly message: string;
  readonly at: Span;
  readonly label?: string;
  readonly secondary?: readonly Label[];
}

/** Whether the fact is known; if not, it is reported. */
export function require(scope: FactScope, fact: Fact, requirement: Requirement): boolean {
  if (!isKnown(fact.left) || !isKnown(fact.right) || prove(scope.facts, fact)) return true;
  const clause = showFact(fact);
  const hasNames = fact.left.terms.concat(fact.right.terms).some(({ atoms }) => atoms.length > 0);
  scope.report({
    ...requirement,
    help: hasNames
      ? [`add \`where ${clause}\` to the function, which its callers then have to show`]
      : [`${clause} does not hold: change one of the two sizes`],
    fixes: hasNames && scope.declaration !== undefined ? [whereFix(scope.declaration, clause)] : [],
  });
  return false;
}

export function equalSizes(facts: Facts, left: Size, right: Size): boolean {
  return sameSize(left, right) || prove(facts, { relation: '==', left, right });
}

export function atMost(facts: Facts, left: Size, right: Size): boolean {
  return sameSize(left, right) || prove(facts, { relation: '<=', left, right });
}

export function isNatural(facts: Facts, size: Size): boolean {
  return prove(facts, { relation: '<=', left: natural(0), right: size });
}

export function whereFix(declaration: FunctionDeclaration, clause: string): Fix {
  const last = declaration.facts.at(-1);
  return last === undefined
    ? insertFix(
        `state it: where ${clause}`,
        declaration.span.file,
        declaration.result.span.end,
        ` where ${clause}`,
      )
    : insertFix(`state it: where …, ${clause}`, declaration.span.file, last.span.end, `, ${clause}`);
}

/** As it is written after `where`. */
export function showFact(fact: Fact): string {
  const left = showName(fact.left);
  const right = showName(fact.right);
  if (fact.relation === '|') return `${left} | ${right}`;
  return fact.relation === '%' ? `${left} % ${right} == 0` : `${left} ${fact.relation} ${right}`;
}
