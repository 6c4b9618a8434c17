/** What a package says of sizes that are known in a run only. */
import { z } from 'zod';
import { sizeRelations } from '../../dsl/types/relation.ts';
import type { Extent } from '../graph/extent.ts';
import { extentAt, type Sizes } from '../graph/extent.ts';
import type { GridEnd } from '../tiles/ends.ts';

const natural = z.int().min(0);

/** A number plus multiples of sizes, none of which is above its `most`. */
export const extentSchema = z.strictObject({
  constant: z.int(),
  terms: z.array(z.strictObject({ size: z.string().min(1), most: natural, factor: z.int() })),
});

export const gridEndSchema = z.strictObject({ extent: extentSchema, per: z.int().min(1), beside: natural });

export const boundedSchema = z.array(
  z.strictObject({ size: z.string().min(1), least: natural, most: natural }),
);

/** What must hold of the sizes of a run, as the entry's `where` says it. */
export const conditionsSchema = z.array(
  z.strictObject({
    relation: z.enum(sizeRelations),
    left: extentSchema,
    right: extentSchema,
    text: z.string().min(1),
  }),
);

/** Of a dimension or a grid's axis that goes all the way in every run: null. */
export const endsSchema = z.array(extentSchema.nullable());
export const gridEndsSchema = z.array(gridEndSchema.nullable());

export type PackageExtent = z.infer<typeof extentSchema>;
type PackageGridEnd = z.infer<typeof gridEndSchema>;

export function packageExtent({ constant, terms }: Extent): PackageExtent {
  return { constant, terms: terms.map((term) => ({ ...term })) };
}

export interface Condition {
  readonly relation: PackageCondition['relation'];
  readonly left: Extent;
  readonly right: Extent;
  readonly text: string;
}

type PackageCondition = z.infer<typeof conditionsSchema>[number];

export function packageCondition({ left, right, ...rest }: Condition): PackageCondition {
  return { ...rest, left: packageExtent(left), right: packageExtent(right) };
}

/** As a field of a manifest: absent where nothing ends. */
export function packageEnds(ends: readonly (Extent | undefined)[] | undefined): {
  readonly ends?: (PackageExtent | null)[];
} {
  return ends === undefined
    ? {}
    : { ends: ends.map((end) => (end === undefined ? null : packageExtent(end))) };
}

export function packageGridEnds(ends: readonly (GridEnd | undefined)[]): (PackageGridEnd | null)[] {
  return ends.map((end) => (end === undefined ? null : { ...end, extent: packageExtent(end.extent) }));
}

interface Ended {
  readonly shape: readonly number[];
  readonly ends?: readonly (PackageExtent | null)[] | undefined;
}

/** Why a tensor has no room for what its ends say; undefined where it has. */
export function endsFault({ shape, ends }: Ended, most: Sizes): string | undefined {
  if (ends === undefined) return undefined;
  if (ends.length !== shape.length) return `of ${ends.length} dimensions, not ${shape.length}`;
  for (const [dim, end] of ends.entries()) {
    if (end === null) continue;
    const unknown = unknownSize(end, most);
    if (unknown !== undefined) return `${unknown} is not bounded`;
    const needed = greatest(end, most);
    if (needed > shape[dim]!) return `dimension ${dim} has room for ${shape[dim]}, and may need ${needed}`;
  }
  return undefined;
}

export function unknownSize({ terms }: PackageExtent, most: Sizes): string | undefined {
  return terms.find(({ size }) => !most.has(size))?.size;
}

/** Where factors are negative it is largest for a size of 0. */
function greatest({ constant, terms }: PackageExtent, most: Sizes): number {
  return extentAt({ constant, terms: terms.filter(({ factor }) => factor > 0) }, most);
}
