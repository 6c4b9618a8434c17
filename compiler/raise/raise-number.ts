/** Constants as they are written: what is read is the very number. */
import type { Expression } from '../../dsl/syntax/tree.ts';
import type { Arithmetic } from '../graph/graph.ts';
import { binary, boolean, call, named, number, unary } from './source-tree.ts';

export const constants: { readonly [A in Arithmetic]: (value: number) => Expression } = {
  f32: floatConstant,
  i32: (value) => signed(value, (magnitude) => number(String(magnitude))),
  u32: (value) => call('u32', [number(String(value))]),
  bool: (value) => boolean(value !== 0),
};

function floatConstant(value: number): Expression {
  if (Number.isNaN(value)) return binary('-', named('inf'), named('inf'));
  return signed(value, (magnitude) =>
    magnitude === Number.POSITIVE_INFINITY ? named('inf') : number(floatText(magnitude)),
  );
}

function signed(value: number, positive: (magnitude: number) => Expression): Expression {
  const isNegative = value < 0 || Object.is(value, -0);
  return isNegative ? unary('-', positive(-value)) : positive(value);
}

/** The fewest digits that give the f32; with a point or an exponent, which make it a float. */
function floatText(value: number): string {
  for (let digits = 1; digits < 17; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value) return withPoint(text);
  }
  return withPoint(String(value));
}

function withPoint(text: string): string {
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/**
 * Whether the expression takes its number type from what is asked of it, as integer literals do: where
 * something else than an i32 could be asked for, it must say that it is one.
 */
export function isOpen(expression: Expression): boolean {
  switch (expression.kind) {
    case 'number':
      return !/[.e]/.test(expression.text);
    case 'unary':
      return expression.operator === '-' && isOpen(expression.operand);
    default:
      return false;
  }
}

/** The same, as an i32 whatever is asked for. */
export function closed(expression: Expression): Expression {
  return isOpen(expression) ? call('i32', [expression]) : expression;
}
