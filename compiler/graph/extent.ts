/** Extents that are known when a program runs: a number plus multiples of its bounded sizes. */
import type { Scalar } from './graph.ts';
import { apply, integer } from './scalar.ts';

export interface Extent {
  readonly constant: number;
  /** No factor is 0; sorted by the names of the sizes, each of which is at most `most` in a run. */
  readonly terms: readonly ExtentTerm[];
}

export interface ExtentTerm {
  readonly size: string;
  readonly most: number;
  readonly factor: number;
}

/** Sizes of a run, by name. */
export type Sizes = ReadonlyMap<string, number>;

/** Throws (an internal error) when one of its sizes is not given. */
export function extentAt({ constant, terms }: Extent, sizes: Sizes): number {
  return terms.reduce((sum, { size, factor }) => {
    const value = sizes.get(size);
    if (value === undefined) throw new Error(`the size ${size} is not given`);
    return sum + factor * value;
  }, constant);
}

/** What it is at least in a run, where each size is at least what `least` says. */
export function leastExtent({ constant, terms }: Extent, least: Sizes): number {
  return terms.reduce(
    (sum, { size, most, factor }) => sum + factor * (factor > 0 ? (least.get(size) ?? 0) : most),
    constant,
  );
}

export function scaledExtent({ constant, terms }: Extent, by: number): Extent {
  return {
    constant: constant * by,
    terms: by === 0 ? [] : terms.map((term) => ({ ...term, factor: term.factor * by })),
  };
}

export function extentScalar({ constant, terms }: Extent): Scalar {
  const multiples = terms.map(({ size, most, factor }): Scalar => {
    const named: Scalar = { op: 'size', name: size, most };
    return factor === 1 ? named : apply('mul', named, integer(factor));
  });
  const [first, ...rest] = multiples;
  if (first === undefined) return integer(constant);
  const sum = rest.reduce((left, right) => apply('add', left, right), first);
  return constant === 0 ? sum : apply('add', sum, integer(constant));
}

/** `S`, `2 * S + 1` */
export function showExtent({ constant, terms }: Extent): string {
  const parts = terms.map(({ size, factor }) => (factor === 1 ? size : `${factor} * ${size}`));
  return [...parts, ...(constant === 0 && parts.length > 0 ? [] : [`${constant}`])].join(' + ');
}

export function sameExtent(left: Extent, right: Extent): boolean {
  return showExtent(left) === showExtent(right);
}
