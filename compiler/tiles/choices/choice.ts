/**
 * What a schedule has to choose, as data: the small language in which a kernel's shape is said. A schedule
 * takes a choice and chooses nothing itself; which choices there are for a problem is enumerated beside it
 * (`contraction.ts` …), one of them is taken without tuning, and measuring may find a better one.
 *
 * Counts are of one invocation unless they are of threads, which are the invocations of a workgroup.
 */
import { z } from 'zod';

const count = z.int().min(1);

/**
 * A tile of a product in the registers of each invocation: `rows × columns` results, over steps of `depth`
 * along what is reduced.
 */
const tiles = z.strictObject({
  form: z.literal('tiles'),
  /**
   * How factors reach the invocations: each loads its own, the lanes of a subgroup load a part of the left
   * one each and broadcast it, or all bring blocks of both into workgroup memory.
   */
  staging: z.enum(['registers', 'lanes', 'shared']),
  threadRows: count,
  threadColumns: count,
  rows: count,
  columns: count,
  depth: count,
  /** Whether the right factor is first copied, so that what a tile reads of it is one piece of memory. */
  panels: z.boolean(),
});

/**
 * A tile of a product by matrix units: so many rows and columns of warps, each with `rows × columns` results,
 * over steps of `depth` along what is reduced, brought `stages` − 1 steps ahead. Workgroups of a cluster, if
 * they are fed by an engine, bring the right factor for each other.
 */
const units = z.strictObject({
  form: z.literal('units'),
  warpRows: count,
  warpColumns: count,
  rows: count,
  columns: count,
  depth: count,
  stages: z.int().min(2),
  cluster: z.int().min(1).max(2).default(1),
});

/**
 * A product of few rows: all of them in each invocation, what is reduced shared by the thread columns, each
 * of which takes `vector` neighbours a step.
 */
const thin = z.strictObject({
  form: z.literal('thin'),
  threadRows: count,
  threadColumns: count,
  columns: count,
  vector: count.default(4),
});

/**
 * A reduction along neighbours: each row of threads has `results`, and reads `vectors` times `vector`
 * neighbours a thread together.
 */
const rows = z.strictObject({
  form: z.literal('rows'),
  threadRows: count,
  threadColumns: count,
  results: count,
  vector: count,
  vectors: count,
});

/** A reduction across neighbours: each invocation has so many results side by side, a multiple of four. */
const columns = z.strictObject({ form: z.literal('columns'), threadColumns: count, results: count });

/** A reduction in two: over chunks of so many along one axis, then over the chunks. */
const split = z.strictObject({ form: z.literal('split'), chunk: count });

/** Values each by itself. */
const map = z.strictObject({ form: z.literal('map'), threadColumns: count });

/**
 * Values in squares that go through workgroup memory, where what is stored along one axis lies along another:
 * so many rows of threads store a square, and squares are gone through row by row, or some rows together.
 */
const turned = z.strictObject({ form: z.literal('turned'), threadRows: count, bands: z.boolean() });

/** Prefix reductions of rows by an invocation each, so many a workgroup. */
const walk = z.strictObject({ form: z.literal('walk'), threadColumns: count });

/** By a row of threads each, which take `vectors` times `vector` neighbours a thread together. */
const scan = z.strictObject({
  form: z.literal('scan'),
  threadRows: count,
  threadColumns: count,
  vectors: count,
  vector: count,
});

/** In pieces of so many along a row: first what they come to, then from what is before each. */
const pieces = z.strictObject({ form: z.literal('pieces'), chunk: count });

/** Rows put in order by counting what is before each entry. */
const counted = z.strictObject({ form: z.literal('count') });

/** Sorted by a row of threads each, so many entries together; longer rows are merged, or the best of each. */
const sort = z.strictObject({
  form: z.literal('sort'),
  threadRows: count,
  threadColumns: count,
  entries: count,
});

/** Merged from single entries on, each entry by an invocation, so many a workgroup. */
const merge = z.strictObject({ form: z.literal('merge'), threadColumns: count });

/** A softmax-weighted sum, streamed in blocks of so many positions. */
const stream = z.strictObject({
  form: z.literal('stream'),
  threadColumns: count,
  rows: count,
  block: count,
  /** Whether the lanes of a subgroup load a part of each block and broadcast it. */
  lanes: z.boolean(),
});

/**
 * The same on a core: a workgroup of one invocation makes all logits of a block, then all weights, then the
 * sums, of so many rows.
 */
const blocked = z.strictObject({ form: z.literal('blocked'), rows: count, block: count });

/**
 * The same by matrix units: so many warps, each with `rows` rows, meet the streamed axis in blocks that are
 * brought `stages` − 1 steps ahead.
 */
const unitStream = z.strictObject({
  form: z.literal('unitStream'),
  warps: count,
  rows: count,
  block: count,
  stages: z.int().min(2),
});

/**
 * A chain of products by matrix units, in the same way. What differs along a block alone each lane loads of
 * its own columns, or the lanes of a warp load it all once and give it to each other.
 */
const unitChain = z.strictObject({
  form: z.literal('unitChain'),
  warps: count,
  rows: count,
  block: count,
  stages: z.int().min(2),
  columns: z.enum(['own', 'lanes']).default('own'),
});

const forms = {
  ...{ tiles, units, thin, rows, columns, split, map, turned, walk, scan, pieces },
  ...{ count: counted, sort, merge, stream, blocked, unitStream, unitChain },
};

export const choiceSchema = z.discriminatedUnion('form', [
  tiles,
  units,
  thin,
  rows,
  columns,
  split,
  map,
  turned,
  walk,
  scan,
  pieces,
  counted,
  sort,
  merge,
  stream,
  blocked,
  unitStream,
  unitChain,
]);

export type Choice = z.infer<typeof choiceSchema>;
export type Form = Choice['form'];
export type ChoiceOf<F extends Form> = Choice & { readonly form: F };

const parts: ReadonlyMap<Form, readonly string[]> = new Map(
  Object.entries(forms).map(([form, { shape }]) => [
    form as Form,
    Object.keys(shape).filter((name) => name !== 'form'),
  ]),
);

/** What a choice of the form says, in the order in which it is said. */
export function partsOf(form: Form): readonly string[] {
  return parts.get(form)!;
}

export function areSame(left: Choice, right: Choice): boolean {
  if (left.form !== right.form) return false;
  const [one, other] = [left, right] as readonly Readonly<Record<string, unknown>>[];
  return partsOf(left.form).every((part) => one![part] === other![part]);
}
