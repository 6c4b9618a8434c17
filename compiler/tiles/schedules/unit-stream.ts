/**
 * What kernels share whose warps have rows of results in the registers of matrix units, and meet a streamed
 * axis in blocks: attention, and chains of products.
 */
import type { Tensor } from '../../graph/graph.ts';
import type { MatrixUnits } from '../device-profile.ts';
import { define, loop, shared, spread, store, when } from '../tile-builder.ts';
import {
  apply,
  below,
  both,
  constant,
  coordinate,
  element,
  flatten,
  minimum,
  quotient,
  remainder,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';
import type { AxisClass } from './axis-class.ts';
import type { Positions } from './visible-bound.ts';

/** What the extents of tiles of matrix units are multiples of. */
const unit = 16;
/**
 * Components of values that a workgroup sums: more are split over the grid. Warps have fewer registers left
 * for them than warpgroups, since factors of products go through registers too.
 */
const mostComponents = { warps: 128, warpgroups: 256 } as const;
/** Words between rows of results, so that the lanes of a warp put theirs into different banks. */
export const resultPadding = 8;

/**
 * Results of products that a thread has at a time, beside more of which it has no registers for descriptors
 * of all steps: each is found where it is used.
 */
export const mostResults = 176;
/** Workgroups that run beside each other for each other's waits, of less shared memory than so much. */
export const besides = { workgroups: 3, bytes: 55 * 1024 } as const;

/** How far a tile of matrix units goes that has so many. */
export function unitExtent(extent: number): number {
  return Math.ceil(extent / unit) * unit;
}

/** How many components of values a tile has. */
export function unitComponents(values: number, { warpgroups }: Pick<MatrixUnits, 'warpgroups'>): number {
  return Math.min(mostComponents[warpgroups ? 'warpgroups' : 'warps'], unitExtent(values));
}

/** How a workgroup's tiles are dealt out: warps with so many rows each, blocks of the streamed axis. */
export interface StreamTiles {
  readonly warps: number;
  readonly perWarp: number;
  readonly block: number;
  readonly components: number;
}

/** Whether warpgroups make all products, of tiles whose rows they can read across. */
export function areByWarpgroups(
  { warps, perWarp, block, components }: StreamTiles,
  { warpgroups }: Pick<MatrixUnits, 'warpgroups'>,
): boolean {
  const [most, across] = [256, 64];
  const isOfGroups = warps % 4 === 0 && warps <= 12 && perWarp === 16;
  return warpgroups && isOfGroups && block <= most && components <= most && components % across === 0;
}

/**
 * What is done only where some row does not see all of the block from `start` on; everywhere else there is
 * nothing to mask.
 * @param common what all rows see; undefined where that is not known
 * @param end of what there is
 */
export function atEdges(
  common: Positions | undefined,
  end: TileExpression,
  { start, block }: { readonly start: TileExpression; readonly block: number },
  body: readonly TileStatement[],
): readonly TileStatement[] {
  if (common === undefined) return body;
  const isCommon = both(
    below(common.from, sum(start, constant(1))),
    below(sum(start, constant(block - 1)), minimum(common.to, end)),
  );
  return isCommon === undefined ? [] : [when(apply('not', 'bool', isCommon), body)];
}

/** Whether runs of four results, stored by one invocation, are whole aligned words of the tensor. */
export function ownsWords(result: Tensor, values: AxisClass): boolean {
  return values.axes.at(-1) === result.shape.length - 1 && values.parts.at(-1)! % 4 === 0;
}

/** Flat places along rows and values of results. */
export interface ResultPlace {
  readonly row: TileExpression;
  readonly value: TileExpression;
}

/** Rows and components of a tile of results, and where they are in the tensor. */
export interface StoredResults {
  readonly result: Tensor;
  readonly axes: readonly [TileAxis, TileAxis];
  readonly warps: number;
  /** Of what the tile has in a place. */
  readonly placeOf: (row: TileExpression, component: TileExpression) => ResultPlace;
  /** By axis of the tensor. */
  readonly subscriptsAt: (place: ResultPlace) => readonly TileExpression[];
  readonly isThere: (place: ResultPlace) => TileExpression | undefined;
  /** Of the tile through which they are exchanged. */
  readonly name?: string;
}

/** Exchanges the results, so that all invocations store neighbours of them, some vectors at a time. */
export function storeTogether(value: TileExpression, of: StoredResults): readonly TileStatement[] {
  const { result, axes, warps, placeOf, subscriptsAt, isThere, name = 'results' } = of;
  const [{ extent: together }, { extent: components }] = axes;
  const results = together * components;
  const round = 32 * warps * 4;
  const part = round * [4, 3, 2, 1].find((vectors) => results % (vectors * round) === 0)!;
  const bounds = {
    ...{ from: constant(0), to: constant(results), step: part, multipleOf: part },
    range: { low: 0, high: results - part },
  };
  const stored = loop('part', bounds, (start) => {
    const flat = sum(start, coordinate(0, part));
    const [row, component] = [quotient(flat, components), remainder(flat, components)];
    const place = placeOf(row, component);
    return [
      store(
        result,
        [spread(part, 'threads', 4)],
        flatten(subscriptsAt(place), result.shape),
        element(name, 'f32', [row, component]),
        isThere(place),
      ),
    ];
  });
  return [define({ ...shared(name, 'f32', axes), padding: resultPadding }, value), stored];
}
