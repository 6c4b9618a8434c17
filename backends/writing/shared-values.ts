/**
 * What an expression has in several places is written once. A writer knows a value again by what it is
 * computed from; but whoever asks for all parts of an expression asks 2ⁿ times for what is at the end of a
 * chain of n squares. So while an expression is written, what its parts came to is kept.
 */
import type { TileExpression } from '../../compiler/tiles/tile-expression.ts';
import type { Keyed, Linear } from './linear.ts';
import type { Point } from './point.ts';

type Kept<V extends Keyed, R> = Map<Point<V>, Map<TileExpression, R>>;

export class SharedValues<V extends Keyed, R> {
  private readonly values: Kept<V, R> = new Map();
  private readonly sums: Kept<V, Linear<V>> = new Map();
  private depth = 0;

  /** What it comes to at a point. */
  value(expression: TileExpression, point: Point<V>, write: () => R): R {
    return this.keeping(this.values, expression, point, write);
  }

  /** The same of an integer expression, as a sum. */
  sum(expression: TileExpression, point: Point<V>, write: () => Linear<V>): Linear<V> {
    return this.keeping(this.sums, expression, point, write);
  }

  private keeping<T>(kept: Kept<V, T>, expression: TileExpression, point: Point<V>, write: () => T): T {
    const known = kept.get(point)?.get(expression);
    if (known !== undefined) return known;
    this.depth++;
    try {
      const found = write();
      const here = kept.get(point) ?? new Map<TileExpression, T>();
      kept.set(point, here.set(expression, found));
      return found;
    } finally {
      this.depth--;
      // Variables and memory may be others when the next expression is written.
      if (this.depth === 0) for (const each of [this.values, this.sums]) each.clear();
    }
  }
}
