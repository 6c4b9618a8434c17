/**
 * Subscripts that the type checker can follow through blocks: an index by itself, an index into a product
 * dimension `(i, j)`, or a part of such an index.
 */
import type { Scalar } from '../../graph/graph.ts';

/** @param extents of the node's iterators, @param size of the dimension */
export function isProductIndex(subscript: Scalar, extents: readonly number[], size: number): boolean {
  return partExtent(subscript, extents) !== undefined || isWholeProduct(subscript, extents, size);
}

/** `i`, `i // c`, `i mod c`, and those of one another: how many positions they have; undefined for all else. */
function partExtent(scalar: Scalar, extents: readonly number[]): number | undefined {
  if (scalar.op === 'iterator') return extents[scalar.axis]!;
  if (scalar.op !== 'apply' || (scalar.function !== 'floordiv' && scalar.function !== 'mod'))
    return undefined;
  const [value, divisor] = scalar.operands;
  const whole = partExtent(value!, extents);
  if (whole === undefined || divisor!.op !== 'constant' || whole % divisor!.value !== 0) return undefined;
  return scalar.function === 'mod' ? divisor!.value : whole / divisor!.value;
}

interface Term {
  readonly factor: number;
  readonly extent: number;
}

/** `i * 12 + j * 4 + k`, each factor what the indices after it run over together, and all of the dimension. */
function isWholeProduct(scalar: Scalar, extents: readonly number[], size: number): boolean {
  const terms = termsOf(scalar, extents)?.toSorted((left, right) => right.factor - left.factor);
  if (terms === undefined) return false;
  const total = terms.reduceRight(
    (product, { factor, extent }) => (factor === product ? product * extent : -1),
    1,
  );
  return total === size;
}

function termsOf(scalar: Scalar, extents: readonly number[]): readonly Term[] | undefined {
  const part = partExtent(scalar, extents);
  if (part !== undefined) return [{ factor: 1, extent: part }];
  if (scalar.op !== 'apply') return undefined;
  const [first, second] = scalar.operands;
  if (scalar.function === 'add') {
    const left = termsOf(first!, extents);
    const right = termsOf(second!, extents);
    return left && right && [...left, ...right];
  }
  if (scalar.function !== 'mul') return undefined;
  const [number, other] = first!.op === 'constant' ? [first, second!] : [second!, first!];
  if (number?.op !== 'constant') return undefined;
  return termsOf(other, extents)?.map(({ factor, extent }) => ({ factor: factor * number.value, extent }));
}
