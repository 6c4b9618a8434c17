/**
 * Integer literals, sizes and arithmetic on them have no dtype of their own: they take the one that their use
 * asks for, and i32 when it does not matter.
 */
import type { Expression } from '../syntax/tree.ts';
import { type Context, factScope } from './context.ts';
import { natural, type Size } from './size.ts';
import { combineSizes } from './type-expressions.ts';
import type { Type } from './typed.ts';
import { type Arithmetic, arithmeticOf } from './types.ts';

const arithmeticOperators: readonly string[] = ['+', '-', '*', '/', '%'];

/** A literal written without point or exponent. */
export function isIntegerLiteral(text: string): boolean {
  return !/[.eE]/.test(text);
}

export function isFlexible(context: Context, expression: Expression): boolean {
  switch (expression.kind) {
    case 'number':
      return isIntegerLiteral(expression.text);
    case 'name':
      return context.scope.get(expression.name)?.kind === 'size';
    case 'unary':
      return expression.operator === '-' && isFlexible(context, expression.operand);
    case 'binary':
      return (
        arithmeticOperators.includes(expression.operator) &&
        isFlexible(context, expression.left) &&
        isFlexible(context, expression.right)
      );
    default:
      return false;
  }
}

/** What arithmetic the expected type asks for, if it is a number's. */
export function wantedArithmetic(expected: Type | undefined): Arithmetic | undefined {
  if (expected?.kind !== 'tensor') return undefined;
  const arithmetic = arithmeticOf(expected.element);
  return arithmetic === 'bool' ? undefined : arithmetic;
}

/** Whether a flexible expression could be written as a size. */
export function isSizeShaped(expression: Expression): boolean {
  if (expression.kind !== 'binary') return expression.kind !== 'unary';
  return expression.operator !== '%' && isSizeShaped(expression.left) && isSizeShaped(expression.right);
}

/** The flexible expression as a size: `D / 2`, `G * R`. Remainders and negative sizes are reported. */
export function flexibleSize(context: Context, expression: Expression): Size | undefined {
  switch (expression.kind) {
    case 'number': {
      const value = Number(expression.text);
      return isIntegerLiteral(expression.text) && Number.isSafeInteger(value) ? natural(value) : undefined;
    }
    case 'name': {
      const entry = context.scope.get(expression.name);
      return entry?.kind === 'size' ? entry.size : undefined;
    }
    case 'binary': {
      const { operator } = expression;
      if (operator !== '+' && operator !== '-' && operator !== '*' && operator !== '/') return undefined;
      const left = flexibleSize(context, expression.left);
      const right = flexibleSize(context, expression.right);
      if (left === undefined || right === undefined) return undefined;
      return combineSizes(operator, left, right, expression.span, factScope(context));
    }
    default:
      return undefined;
  }
}
