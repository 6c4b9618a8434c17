/** Conversion to a declared element type. */
import type { ElementType } from '../../dsl/types/typed.ts';
import type { Scalar } from '../graph/graph.ts';
import { apply, convert, integer, round } from '../graph/scalar.ts';
import { storedDtype } from './graph-builder.ts';
import type { IndexArithmetic } from './index-arithmetic.ts';
import { dtypeOfElement, type Scope, sizeOf } from './lowering.ts';

/**
 * Rounds where the type is narrower than what is known of the value; an `ix` is clamped where it may be
 * outside.
 */
export function castTo(
  scalar: Scalar,
  element: ElementType,
  scope: Scope,
  arithmetic: IndexArithmetic,
): Scalar {
  if (element.kind === 'float') return scalar;
  if (element.kind === 'ix') return clampTo(convert('i32', scalar), sizeOf(element.range, scope), arithmetic);
  const dtype = dtypeOfElement(element);
  if (dtype === storedDtype(scalar)) return scalar;
  return round(dtype, scalar);
}

/** Into [0, range); 0 where the range is empty. */
export function clampTo(scalar: Scalar, range: number, arithmetic: IndexArithmetic): Scalar {
  const last = Math.max(0, range - 1);
  const low = arithmetic.simplify(apply('max', scalar, integer(0)));
  return arithmetic.simplify(apply('min', low, integer(last)));
}
