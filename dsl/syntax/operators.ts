/** Precedence of the binary operators, and the climb from a flat list of operands to a tree. */
import type { IToken } from 'chevrotain';
import type { Span } from '../diagnostics/diagnostic.ts';
import { type Problem, problemAt } from './problem.ts';
import type { BinaryOperator, Expression, UnaryOperator } from './tree.ts';

/** Higher binds tighter. `not` stands between `and` and the comparisons; unary `-` above `* / %`. */
export const precedence: { readonly [O in BinaryOperator]: number } = {
  or: 1,
  and: 2,
  '==': 4,
  '!=': 4,
  '<': 4,
  '<=': 4,
  '>': 4,
  '>=': 4,
  '+': 5,
  '-': 5,
  '*': 6,
  '/': 6,
  '%': 6,
};
export const prefixPrecedence: { readonly [O in UnaryOperator]: number } = { not: 3, '-': 7 };
export const comparisonPrecedence = 4;

/** An operand of the flat list: `- - x`, `not f(x)`. */
export interface Operand {
  readonly prefixes: readonly IToken[];
  readonly atom: Expression;
}

/**
 * `operands[0] operators[0] operands[1] …` as a tree. All binary operators associate to the left; comparisons
 * not at all (reported), nor may `not` stand to the right of an operator that binds tighter than itself
 * (reported).
 */
export function climb(
  operands: readonly Operand[],
  operators: readonly IToken[],
  file: string,
  report: (problem: Problem) => void,
): Expression {
  let next = 0;

  const operandAt = (minimum: number): Expression => {
    const { prefixes, atom } = operands[next]!;
    next += 1;
    // From the inside out: `not` takes a whole comparison, `-` only what binds tighter.
    const negations = prefixes.findLastIndex((prefix) => prefix.image === 'not') + 1;
    const hidden = prefixes.slice(0, negations).find((prefix) => prefix.image === '-');
    const misplaced = minimum > prefixPrecedence.not ? prefixes.find((p) => p.image === 'not') : undefined;
    const wrong = misplaced ?? (hidden && prefixes[negations - 1]);
    if (wrong !== undefined) {
      report(
        problemAt('E0101', wrong, file, 'unexpected `not`: it binds weaker than the operator before it', {
          help: ['put parentheses around the `not` and its operand: `a == (not b)`'],
        }),
      );
    }
    let value = atom;
    for (const prefix of prefixes.slice(negations).reverse()) value = unary('-', prefix, value);
    if (negations === 0) return value;
    value = binaries(value, comparisonPrecedence);
    for (const prefix of prefixes.slice(0, negations).reverse()) {
      value = unary(prefix.image === 'not' ? 'not' : '-', prefix, value);
    }
    return value;
  };

  const unary = (operator: UnaryOperator, prefix: IToken, operand: Expression): Expression => ({
    kind: 'unary',
    operator,
    operand,
    span: { file, start: prefix.startOffset, end: operand.span.end },
  });

  const binaries = (first: Expression, minimum: number): Expression => {
    let left = first;
    let compared = false;
    for (let token = operators[next - 1]; token !== undefined; token = operators[next - 1]) {
      const operator = token.image as BinaryOperator;
      const level = precedence[operator];
      if (level < minimum) break;
      if (level === comparisonPrecedence) {
        if (compared) report(chained(token, file, left.span));
        compared = true;
      }
      const operand = operandAt(level + 1);
      const right = binaries(operand, level + 1);
      left = {
        kind: 'binary',
        operator,
        left,
        right,
        span: { file, start: left.span.start, end: right.span.end },
      };
    }
    return left;
  };

  return binaries(operandAt(0), 0);
}

function chained(token: IToken, file: string, before: Span): Problem {
  return problemAt('E0108', token, file, 'comparisons do not chain', {
    secondary: [{ span: before, message: 'this is already a comparison' }],
    help: ['write `a < b and b < c`, or put parentheses around the one that is meant first'],
  });
}
