/** Integer expressions of tile programs as sums of multiples of values. */
import type { TileExpression } from '../../compiler/tiles/tile-expression.ts';
import { type Keyed, type Linear, linearConstant, plus, times } from './linear.ts';
import type { Point } from './point.ts';

/**
 * An integer expression at a point (at the first of four) as a sum.
 * @param own what is no sum, and no product with a number, by itself
 */
export function sumAt<V extends Keyed>(
  expression: TileExpression,
  point: Point<V>,
  own: (expression: TileExpression) => Linear<V>,
): Linear<V> {
  const known = new Map<TileExpression, Linear<V>>();
  return of(expression);

  function of(part: TileExpression): Linear<V> {
    const found = known.get(part) ?? sumOf(part);
    known.set(part, found);
    return found;
  }

  function sumOf(part: TileExpression): Linear<V> {
    if (part.op === 'constant') return linearConstant(part.value);
    if (part.op === 'coordinate') return point.coordinates[part.axis]!;
    if (part.op !== 'apply') return own(part);
    const [a, b] = part.operands;
    switch (part.function) {
      case 'add':
        return plus(of(a!), of(b!));
      case 'sub':
        return plus(of(a!), times(of(b!), -1));
      case 'neg':
        return times(of(a!), -1);
      case 'mul': {
        const [left, right] = [of(a!), of(b!)];
        if (left.terms.length === 0) return times(right, left.constant);
        return right.terms.length === 0 ? times(left, right.constant) : own(part);
      }
      default:
        return own(part);
    }
  }
}
