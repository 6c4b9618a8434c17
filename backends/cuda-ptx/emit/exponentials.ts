/**
 * Exponentials of differences of products with one number, `exp(x · c − y · c)`, as those of a softmax are:
 * `x` is then multiplied and added to in one instruction, and what has `y` alone is computed where `y` is. That
 * is as accurate as if both products were rounded, which the difference of two roundings is not more than.
 */
import type { TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import { literal, type Value } from './values.ts';
import type { Writer } from './writer.ts';

export interface ScaledDifference {
  readonly left: TileExpression;
  readonly right: TileExpression;
  readonly scale: number;
}

/** `exp((left − right) · scale)`, if the expression is one that says so product by product. */
export function scaledDifference(expression: TileExpression): ScaledDifference | undefined {
  if (expression.op !== 'apply' || expression.function !== 'exp') return undefined;
  const [difference] = expression.operands;
  if (difference?.op !== 'apply' || difference.function !== 'sub') return undefined;
  const [left, right] = difference.operands.map(scaled);
  if (left === undefined || right === undefined || left.scale !== right.scale) return undefined;
  return { left: left.value, right: right.value, scale: left.scale };
}

function scaled(expression: TileExpression): { value: TileExpression; scale: number } | undefined {
  if (expression.op !== 'apply' || expression.function !== 'mul') return undefined;
  const [value, by] = expression.operands;
  return value === undefined || by?.op !== 'constant' ? undefined : { value, scale: by.value };
}

/** What is below 2^-126 is 0: of the largest exponential of a softmax, which is 1, nothing is left of it. */
export function scaledExponential(writer: Writer, left: Value, right: Value, scale: number): Value {
  const by = literal(scale * Math.LOG2E, 'f32');
  const back = writer.operation('neg.f32', 'f32', [writer.operation('mul.rn.f32', 'f32', [right, by])]);
  const exponent = writer.operation('fma.rn.f32', 'f32', [left, by, back]);
  return writer.operation('ex2.approx.ftz.f32', 'f32', [exponent]);
}
