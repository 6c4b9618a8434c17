/**
 * Facts about sizes that must hold: proved from what is known, or reported with the `where` clause that would
 * do.
 */
import type { Fix, Label, Span } from '../diagnostics/diagnostic.ts';
import type { FunctionDeclaration, PropertyDeclaration } from '../syntax/tree.ts';
import { type Fact, type Facts, prove } from './facts.ts';
import { insertFix, type Report } from './report.ts';
import { natural, type Size, sameSize, sizeParameters } from './size.ts';
import type { TypeCode } from './type-codes.ts';
import { isKnown, showName } from './types.ts';

/** What states facts in a `where` clause. */
export type Stating = FunctionDeclaration | PropertyDeclaration;

export interface FactScope {
  readonly facts: Facts;
  readonly report: Report;
  /** Where a `where` clause could be added. */
  readonly declaration: Stating | undefined;
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
  scope.report({
    ...requirement,
    help: [wayOut(scope, fact)],
    fixes: factFixes(scope, fact),
  });
  return false;
}

function wayOut(scope: FactScope, fact: Fact): string {
  if (!mayHold(scope.facts, fact)) return `${showFact(fact)} does not hold: change one of the two sizes`;
  if (scope.declaration !== undefined) return stateHelp(scope.declaration, fact);
  return 'a record states no facts: make this size one of its parameters';
}

/** The `where` clause that states the fact, unless it is about numbers only or never true. */
export function factFixes(scope: Pick<FactScope, 'facts' | 'declaration'>, fact: Fact): readonly Fix[] {
  return scope.declaration !== undefined && mayHold(scope.facts, fact)
    ? [whereFix(scope.declaration, fact)]
    : [];
}

/**
 * Whether there is something to state: a fact about size parameters that does not contradict what is known.
 */
export function mayHold(facts: Facts, fact: Fact): boolean {
  const { left, right } = fact;
  if (sizeParameters(left).size + sizeParameters(right).size === 0) return false;
  const below = (small: Size, large: Size): boolean =>
    prove(facts, { relation: '<', left: small, right: large });
  switch (fact.relation) {
    case '<=':
      return !below(right, left);
    case '<':
      return !prove(facts, { relation: '<=', left: right, right: left });
    case '==':
      return !below(left, right) && !below(right, left);
    case '|':
    case '%':
      return true;
  }
}

export function equalSizes(facts: Facts, left: Size, right: Size): boolean {
  return sameSize(left, right) || prove(facts, { relation: '==', left, right });
}

export function atMost(facts: Facts, left: Size, right: Size): boolean {
  return sameSize(left, right) || prove(facts, { relation: '<=', left, right });
}

export function isNatural(facts: Facts, size: Size): boolean {
  return (
    size.terms.every(({ coefficient }) => coefficient > 0) ||
    prove(facts, { relation: '<=', left: natural(0), right: size })
  );
}

/** The way out when a fact is missing. */
export function stateHelp({ kind }: Stating, fact: Fact): string {
  const clause = `\`where ${showFact(fact)}\``;
  return kind === 'property'
    ? `add ${clause} to the property, which is then stated of such sizes only`
    : `add ${clause} to the function, which its callers then have to show`;
}

/** The fix, with the `where` clause for what it asks to be true. */
export function fixGiven(scope: FactScope, fact: Fact, fix: Fix): Fix {
  if (scope.declaration === undefined || prove(scope.facts, fact)) return fix;
  return {
    message: `${fix.message}, and add \`where ${showFact(fact)}\``,
    edits: [...fix.edits, ...whereFix(scope.declaration, fact).edits],
  };
}

function whereFix(declaration: Stating, fact: Fact): Fix {
  const last = declaration.facts.at(-1);
  const { file } = declaration.span;
  const help = stateHelp(declaration, fact);
  return last === undefined
    ? insertFix(help, file, whereBefore(declaration).end, ` where ${showFact(fact)}`)
    : insertFix(help, file, last.span.end, `, ${showFact(fact)}`);
}

/** What a first `where` would stand behind. */
function whereBefore(declaration: Stating): Span {
  return declaration.kind === 'function'
    ? declaration.result.span
    : (declaration.quantifiers.at(-1) ?? declaration.name).span;
}

/** As it is written after `where`. */
export function showFact(fact: Fact): string {
  const left = showName(fact.left);
  const right = showName(fact.right);
  if (fact.relation === '|') return `${left} | ${right}`;
  return fact.relation === '%' ? `${left} % ${right} == 0` : `${left} ${fact.relation} ${right}`;
}
