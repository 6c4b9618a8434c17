/**
 * Where parentheses go. The tree has none: `(a + b) * c` is a product of a sum. They are put back where the
 * text would mean something else without them, and in a few places where it would not but a reader could
 * think so:
 *
 * - Forms that reach as far right as they can (`for`, `sum`, `if`, `fold` …) are in parentheses wherever they
 *   are an operand, even the last one: `E * (sum e: share[e])`. How far they reach is then seen and not
 *   worked out.
 * - So they are between two words or marks of another form (`fold x in (…) from h = (…): …`), and so is an
 *   `if` behind `then`.
 * - `and` under `or`, a comparison or a sum under `not`, and `%` mixed with `*` and `/` are in parentheses,
 *   as few people would swear to their order.
 */
import { comparisonPrecedence, precedence, prefixPrecedence } from './operators.ts';
import {
  type BinaryOperator,
  type Check,
  type Expression,
  type ExpressionKind,
  reductionNames,
  type SizeExpression,
} from './tree.ts';

/**
 * How tightly an expression holds together: as `precedence`, with names, calls and brackets above all
 * operators.
 */
const atom = 9;
const open = 0;

type Node<K extends ExpressionKind> = Extract<Expression, { kind: K }>;

const strengths: { readonly [K in ExpressionKind]: (expression: Node<K>) => number } = {
  number: () => atom,
  boolean: () => atom,
  name: () => atom,
  unary: ({ operator }) => prefixPrecedence[operator],
  binary: ({ operator }) => precedence[operator],
  field: () => atom,
  subscript: () => atom,
  call: () => atom,
  tuple: () => atom,
  comprehension: () => open,
  reduction: () => open,
  if: () => open,
  block: () => open,
  loop: () => open,
  reshard: () => open,
  perDevice: () => open,
  ring: () => open,
  error: () => atom,
};

function strength(expression: Expression): number {
  return (strengths[expression.kind] as (node: Expression) => number)(expression);
}

const multiplicative: readonly string[] = ['*', '/', '%'];

function isUnclear(parent: BinaryOperator, child: Expression): boolean {
  if (child.kind !== 'binary') return false;
  if (parent === 'or') return child.operator === 'and';
  const mixed = multiplicative.includes(parent) && multiplicative.includes(child.operator);
  return mixed && (parent === '%') !== (child.operator === '%');
}

/** All operators associate to the left but the comparisons, which do not chain. */
export function leftNeedsParentheses(operator: BinaryOperator, left: Expression): boolean {
  const level = precedence[operator];
  const minimum = level === comparisonPrecedence ? level + 1 : level;
  return strength(left) < minimum || isUnclear(operator, left);
}

export function rightNeedsParentheses(operator: BinaryOperator, right: Expression): boolean {
  return strength(right) <= precedence[operator] || isUnclear(operator, right);
}

export function prefixedNeedsParentheses(operator: 'not' | '-', operand: Expression): boolean {
  if (operator === '-') return strength(operand) < atom;
  const isNegation = operand.kind === 'unary' && operand.operator === 'not';
  return strength(operand) < prefixPrecedence['-'] && !isNegation;
}

/** In front of `.name` or `[…]`, which stand right behind a word or a bracket. */
export function baseNeedsParentheses(base: Expression): boolean {
  return strength(base) < atom || base.kind === 'number' || base.kind === 'boolean';
}

/** In front of `(…)`. What stands in brackets there is sizes, so a subscript is kept apart. */
export function calleeNeedsParentheses(callee: Expression): boolean {
  return callee.kind !== 'name' && callee.kind !== 'field' && callee.kind !== 'call';
}

/** In front of `as`. */
export function reshardedNeedsParentheses(value: Expression): boolean {
  return strength(value) < atom;
}

/** Between two words or marks of one form: `if … then`, `in … from`, `= … :`. */
export function enclosedNeedsParentheses(expression: Expression): boolean {
  return (strength(expression) === open && expression.kind !== 'block') || endsInHead(expression);
}

/** Beside the relation of a `check`. A comparison by `==` alone would be the relation itself. */
export function checkedNeedsParentheses(relation: Check['relation'], side: Expression): boolean {
  if (endsInHead(side)) return true;
  if (relation !== 'holds') return strength(side) <= comparisonPrecedence;
  return side.kind === 'binary' && side.operator === '==';
}

const heads: ReadonlySet<string> = new Set([...reductionNames, 'ring']);

/**
 * Whether the last word, a variable, would be read as the head of a form if a name followed it: `sum from`.
 */
export function endsInHead(expression: Expression): boolean {
  let last = expression;
  for (let next: Expression | undefined = last; next !== undefined; next = lastPart(last)) last = next;
  return last.kind === 'name' && heads.has(last.name);
}

/** The part that the text of an expression ends with, if that can be a word of its own. */
function lastPart(expression: Expression): Expression | undefined {
  switch (expression.kind) {
    case 'unary':
      return expression.operand;
    case 'binary':
      return expression.right;
    case 'if':
      return expression.otherwise;
    case 'comprehension':
    case 'reduction':
    case 'loop':
      return expression.body;
    default:
      return undefined;
  }
}

/**
 * Nothing ends a line but its words, so a result that begins with `-` would go on with the binding before it.
 */
export function resultNeedsParentheses(result: Expression, bindings: number): boolean {
  return bindings > 0 && beginsWithMinus(result);
}

function beginsWithMinus(expression: Expression): boolean {
  let first = expression;
  while (first.kind === 'binary' && !leftNeedsParentheses(first.operator, first.left)) first = first.left;
  return first.kind === 'unary' && first.operator === '-';
}

const sizePrecedence = { '+': 1, '-': 1, '*': 2, '/': 2 } as const;

export function leftSizeNeedsParentheses(operator: '+' | '-' | '*' | '/', left: SizeExpression): boolean {
  return left.kind === 'binary' && sizePrecedence[left.operator] < sizePrecedence[operator];
}

export function rightSizeNeedsParentheses(operator: '+' | '-' | '*' | '/', right: SizeExpression): boolean {
  return right.kind === 'binary' && sizePrecedence[right.operator] <= sizePrecedence[operator];
}
