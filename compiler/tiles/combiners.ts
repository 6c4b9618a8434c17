/** What each combiner starts from, and how it takes one more value. */
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import type { Arithmetic, Combiner } from '../graph/graph.ts';
import { apply, constant, type TileExpression } from './tile-expression.ts';

type ByType = { readonly [A in Arithmetic]: number };

const everywhere = (value: number): ByType => ({ f32: value, i32: value, u32: value, bool: value });
const lowest: ByType = { f32: -Infinity, i32: -(2 ** 31), u32: 0, bool: 0 };
const highest: ByType = { f32: Infinity, i32: 2 ** 31 - 1, u32: 2 ** 32 - 1, bool: 1 };

interface Facts {
  readonly identity: ByType;
  readonly combine: ScalarFunction;
}

/** `argmax` and `argmin` keep the best value beside its position: the facts are those of the value. */
const facts: { readonly [C in Combiner]: Facts } = {
  sum: { identity: everywhere(0), combine: 'add' },
  prod: { identity: everywhere(1), combine: 'mul' },
  max: { identity: lowest, combine: 'max' },
  min: { identity: highest, combine: 'min' },
  any: { identity: everywhere(0), combine: 'or' },
  all: { identity: everywhere(1), combine: 'and' },
  argmax: { identity: lowest, combine: 'max' },
  argmin: { identity: highest, combine: 'min' },
};

export function identityOf(combiner: Combiner, dtype: Arithmetic): TileExpression {
  return constant(facts[combiner].identity[dtype], dtype);
}

export function identityValue(combiner: Combiner, dtype: Arithmetic): number {
  return facts[combiner].identity[dtype];
}

export function combine(combiner: Combiner, left: TileExpression, right: TileExpression, dtype: Arithmetic) {
  return apply(facts[combiner].combine, dtype, left, right);
}

export function isPositional(combiner: Combiner): boolean {
  return combiner === 'argmax' || combiner === 'argmin';
}

/** The position that stands for none so far: behind all others. */
export const nowhere = 2 ** 31 - 1;

/** Whether a value is to replace the best so far: it is better, or as good and before it. No NaN ever is. */
export function isBetter(
  combiner: Combiner,
  own: { readonly value: TileExpression; readonly position: TileExpression },
  best: { readonly value: TileExpression; readonly position: TileExpression },
): TileExpression {
  const [low, high] = combiner === 'argmax' ? [best, own] : [own, best];
  const isStrict = apply('lt', 'bool', low.value, high.value);
  const isEqual = apply('eq', 'bool', own.value, best.value);
  const isBefore = apply('lt', 'bool', own.position, best.position);
  return apply('or', 'bool', isStrict, apply('and', 'bool', isEqual, isBefore));
}
