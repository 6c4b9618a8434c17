/** Expressions that must be sizes: those in the brackets of a call and on the sides of `->`. */
import type { BinaryOperator, Expression, SizeExpression } from './tree.ts';

type SizeOperator = Extract<SizeExpression, { kind: 'binary' }>['operator'];
const sizeOperators: { readonly [O in BinaryOperator]?: SizeOperator } = {
  '+': '+',
  '-': '-',
  '*': '*',
  '/': '/',
};

/**
 * The same as a size, or the part of it that is none. Long sums lean to the left and are walked in a loop, so
 * only written nesting costs stack.
 */
export function asSize(expression: Expression): { size: SizeExpression } | { culprit: Expression } {
  const spine: Extract<Expression, { kind: 'binary' }>[] = [];
  let leftmost = expression;
  while (leftmost.kind === 'binary') {
    spine.push(leftmost);
    leftmost = leftmost.left;
  }
  let left = leaf(leftmost);
  if (left === undefined) return { culprit: leftmost };
  for (const node of spine.reverse()) {
    const operator = sizeOperators[node.operator];
    if (operator === undefined) return { culprit: node };
    const right = asSize(node.right);
    if ('culprit' in right) return right;
    left = { kind: 'binary', operator, left, right: right.size, span: node.span };
  }
  return { size: left };
}

function leaf(expression: Expression): SizeExpression | undefined {
  const { span } = expression;
  if (expression.kind === 'name') return { kind: 'name', name: expression.name, span };
  if (expression.kind === 'number' && /^\d+$/.test(expression.text)) {
    return { kind: 'natural', value: Number(expression.text), span };
  }
  return undefined;
}
