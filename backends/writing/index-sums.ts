/** Integer expressions of tile programs as sums of multiples of values. */
import type { TileExpression } from '../../compiler/tiles/tile-expression.ts';
import { type Keyed, type Linear, linearConstant, plus, times } from './linear.ts';
import type { Point } from './point.ts';

/**
 * An integer expression at a point (at the first of four) as a sum.
 * @param own what is no sum, and no product with a number, by itself
 * @param part what an operand is, as a sum in turn
 */
export function sumAt<V extends Keyed>(
  expression: TileExpression,
  point: Point<V>,
  own: (expression: TileExpression) => Linear<V>,
  part: (operand: TileExpression) => Linear<V>,
): Linear<V> {
  if (expression.op === 'constant') return linearConstant(expression.value);
  if (expression.op === 'coordinate') return point.coordinates[expression.axis]!;
  if (expression.op !== 'apply') return own(expression);
  const [a, b] = expression.operands;
  switch (expression.function) {
    case 'add':
      return plus(part(a!), part(b!));
    case 'sub':
      return plus(part(a!), times(part(b!), -1));
    case 'neg':
      return times(part(a!), -1);
    case 'mul': {
      const [left, right] = [part(a!), part(b!)];
      if (left.terms.length === 0) return times(right, left.constant);
      return right.terms.length === 0 ? times(left, right.constant) : own(expression);
    }
    default:
      return own(expression);
  }
}
