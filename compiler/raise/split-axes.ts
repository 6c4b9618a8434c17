/**
 * Axes of a node that its expressions take apart by division and remainder, as the product dimensions that
 * they are: `for i: x[floordiv(i, 2), i % 2]` is `for (g, r): x[g, r]`.
 */
import type { LoopId, Scalar } from '../graph/graph.ts';
import { iterator, mapScalar, subexpressions } from '../graph/scalar.ts';
import { indexArithmetic } from '../lower/index-arithmetic.ts';

export interface SplitAxes {
  /** For each axis of the node the extents of its parts, major first; the parts are numbered through. */
  readonly parts: readonly (readonly number[])[];
  /** An expression of the node in terms of the parts, with its integer arithmetic simplified. */
  readonly rewrite: (scalar: Scalar) => Scalar;
}

/** @param mayBe whether an axis may be written as these parts */
export function splitAxes(
  scalars: readonly Scalar[],
  extents: readonly number[],
  loops: ReadonlyMap<LoopId, number>,
  mayBe: (axis: number, parts: readonly number[]) => boolean,
): SplitAxes {
  const divisors = divisorsOf(scalars);
  const parts = extents.map((extent, axis) => {
    const found = factors(extent, divisors.get(axis) ?? new Set());
    return found.length > 1 && mayBe(axis, found) ? found : [extent];
  });
  const all = parts.flat();
  const firsts = parts.map((_, axis) => parts.slice(0, axis).flat().length);
  const arithmetic = indexArithmetic({
    extent: (part) => all[part]!,
    count: (loop) => loops.get(loop)!,
  });
  const merged = parts.map((own, axis) =>
    arithmetic.merge(
      own.map((_, position) => iterator(firsts[axis]! + position)),
      own,
    ),
  );
  const rewrite = (scalar: Scalar): Scalar =>
    mapScalar(scalar, (part) => (part.op === 'iterator' ? merged[part.axis]! : arithmetic.simplify(part)));
  return { parts, rewrite };
}

/** By which numbers each iterator is divided, quotients of it included. */
function divisorsOf(scalars: readonly Scalar[]): ReadonlyMap<number, ReadonlySet<number>> {
  const found = new Map<number, Set<number>>();
  for (const part of scalars.flatMap(subexpressions)) {
    const division = divisionOf(part);
    if (division === undefined) continue;
    const { axis, divisor } = division;
    found.set(axis, new Set([...(found.get(axis) ?? []), divisor]));
  }
  return found;
}

/** Of `floordiv(i, 2)` and `i % 2` 2, of `floordiv(i, 2) % 3` 6. */
function divisionOf(scalar: Scalar): { readonly axis: number; readonly divisor: number } | undefined {
  if (scalar.op !== 'apply' || (scalar.function !== 'floordiv' && scalar.function !== 'mod'))
    return undefined;
  const [dividend, divisor] = scalar.operands;
  if (divisor?.op !== 'constant' || divisor.value <= 0) return undefined;
  if (dividend?.op === 'iterator') return { axis: dividend.axis, divisor: divisor.value };
  const isQuotient = dividend?.op === 'apply' && dividend.function === 'floordiv';
  const inner = isQuotient ? divisionOf(dividend) : undefined;
  return inner && { axis: inner.axis, divisor: inner.divisor * divisor.value };
}

/** The extent as a product that all of the divisors which fit together divide at a border of its factors. */
function factors(extent: number, divisors: ReadonlySet<number>): readonly number[] {
  const found: number[] = [];
  let minor = 1;
  for (const divisor of [...divisors].sort((left, right) => left - right)) {
    const fits = divisor > minor && divisor < extent && divisor % minor === 0 && extent % divisor === 0;
    if (!fits) continue;
    found.unshift(divisor / minor);
    minor = divisor;
  }
  return [extent / minor, ...found];
}
