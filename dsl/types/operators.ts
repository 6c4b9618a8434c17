/** `+`, `<`, `and`, `-x` …: operators as pointwise functions. */
import type { BinaryOperator, Expression } from '../syntax/tree.ts';
import { type Context, errorExpression } from './context.ts';
import { flexibleSize, isFlexible, isIntegerLiteral, isSizeShaped, wantedArithmetic } from './flexible.ts';
import { inferPointwise } from './pointwise.ts';
import type { ScalarFunction } from './scalar-functions.ts';
import type { Type, TypedExpression } from './typed.ts';
import { scalarOf } from './types.ts';

/** `swap`: a > b is b < a. */
const operators: {
  readonly [O in BinaryOperator]: { readonly function: ScalarFunction; readonly swap?: true };
} = {
  '+': { function: 'add' },
  '-': { function: 'sub' },
  '*': { function: 'mul' },
  '/': { function: 'div' },
  '%': { function: 'mod' },
  '==': { function: 'eq' },
  '!=': { function: 'ne' },
  '<': { function: 'lt' },
  '<=': { function: 'le' },
  '>': { function: 'lt', swap: true },
  '>=': { function: 'le', swap: true },
  and: { function: 'and' },
  or: { function: 'or' },
};

export function inferBinary(
  context: Context,
  node: Extract<Expression, { kind: 'binary' }>,
  expected: Type | undefined,
): TypedExpression {
  const quotient = sizeQuotient(context, node, expected);
  if (quotient !== undefined) return quotient;
  const { function: name, swap } = operators[node.operator];
  const written = { name: `\`${node.operator}\``, span: node.span };
  const operands = swap ? [node.right, node.left] : [node.left, node.right];
  return inferPointwise(context, name, written, operands, expected);
}

/** Where an integer is wanted, `D / 2` is the size that it is in a type. */
function sizeQuotient(
  context: Context,
  node: Extract<Expression, { kind: 'binary' }>,
  expected: Type | undefined,
): TypedExpression | undefined {
  const wanted = wantedArithmetic(expected);
  if (node.operator !== '/' || (wanted !== 'i32' && wanted !== 'u32')) return undefined;
  if (!isFlexible(context, node) || !isSizeShaped(node)) return undefined;
  const size = flexibleSize(context, node);
  return size === undefined
    ? errorExpression(node.span)
    : { kind: 'size', size, type: scalarOf(wanted), span: node.span };
}

export function inferUnary(
  context: Context,
  node: Extract<Expression, { kind: 'unary' }>,
  expected: Type | undefined,
): TypedExpression {
  if (isLowestInteger(node) && (wantedArithmetic(expected) ?? 'i32') === 'i32') {
    return { kind: 'constant', value: lowestI32, type: scalarOf('i32'), span: node.span };
  }
  const name = node.operator === '-' ? 'neg' : 'not';
  const written = { name: `\`${node.operator}\``, span: node.span };
  return inferPointwise(context, name, written, [node.operand], expected);
}

const lowestI32 = -(2 ** 31);

/** `-2147483648` is an i32 although the number behind its minus is none. */
function isLowestInteger({ operator, operand }: Extract<Expression, { kind: 'unary' }>): boolean {
  const isWhole = operand.kind === 'number' && isIntegerLiteral(operand.text);
  return operator === '-' && isWhole && -Number(operand.text) === lowestI32;
}
