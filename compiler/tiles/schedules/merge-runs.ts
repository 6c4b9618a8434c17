/**
 * Sorted runs of rows, merged in pairs: a workgroup makes a tile of what two runs become. Where its tile
 * begins and ends in both it finds by two searches in memory, which all invocations do alike; what lies
 * between, as much as the tile has, it brings to shared memory, and merges there (`merging.ts`).
 */
import { define, register, shared, spread } from '../tile-builder.ts';
import {
  apply,
  below,
  both,
  constant,
  coordinate,
  difference,
  element,
  grid,
  masked,
  maximum,
  minimum,
  product,
  quotient,
  remainder,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { KernelParts } from './context.ts';
import { type Keys, type Merging, mergePlaces, placeInRuns, stepsOf } from './merging.ts';
import { type Entries, leaving, type Sorted } from './order-problem.ts';
import type { TileShape } from './tile-sort.ts';

/** @param run entries of a run but for the last one of a row, a power of two that a tile's divide */
export function mergeRuns(
  name: string,
  keys: Keys,
  { rows, length, key: keyAt, place: placeAt }: Entries,
  run: number,
  into: Sorted,
  { threadColumns, entries }: Omit<TileShape, 'threadRows'>,
): Omit<KernelParts, 'gridEnds'> & { readonly perRow: number } {
  const perRow = Math.ceil(into.kept / entries);
  const axis = spread(entries, 'columns');
  const at = coordinate(0, entries);
  const tile = grid(0, rows * perRow);
  const [row, piece] = [quotient(tile, perRow), remainder(tile, perRow)];
  const begin = product(piece, constant(entries));
  const pair = product(quotient(begin, 2 * run), constant(2 * run));
  const base = sum(product(row, constant(length)), pair);
  const left = difference(constant(length), pair);
  const first = minimum(constant(run), left);
  const second = maximum(minimum(difference(left, constant(run)), constant(run)), constant(0));
  const cutAxes = [spread(2, 'whole')];
  const cuts: Merging = {
    ...{ prefix: 'cut_', keys, axes: cutAxes, first, second },
    place: sum(difference(begin, pair), product(coordinate(0, 2), constant(entries))),
    ...stepsOf(run),
    keyOfFirst: (place) => keyAt(sum(base, minimum(place, difference(first, constant(1))))),
    keyOfSecond: (place) => keyAt(sum(base, constant(run), maximum(place, constant(0)))),
  };
  const [cut, nextCut] = [0, 1].map((which) => element('cut_low', 'i32', [constant(which)])) as [
    TileExpression,
    TileExpression,
  ];
  const ofFirst = difference(nextCut, cut);
  const brought = sum(
    base,
    masked(
      apply('lt', 'bool', at, ofFirst),
      sum(cut, at),
      sum(constant(run), difference(difference(begin, pair), cut), difference(at, ofFirst)),
    ),
  );
  const key = (place: TileExpression) => element('keys', keys.dtype, [place]);
  const merging: Merging = {
    ...{ prefix: '', keys, axes: [axis], place: at },
    ...{ first: ofFirst, second: difference(constant(entries), ofFirst) },
    ...stepsOf(entries),
    keyOfFirst: (place) => key(minimum(place, constant(entries - 1))),
    keyOfSecond: (place) => key(maximum(sum(ofFirst, place), constant(0))),
  };
  const inRow = sum(begin, at);
  const result = sum(product(row, constant(into.kept)), inRow);
  const isKept = both(below(row, constant(rows)), below(inRow, constant(into.kept)));
  const found = element('source', 'i32', [at]);
  const place = element('places', 'i32', [found]);
  return {
    name,
    perRow,
    grid: [rows * perRow],
    threads: { rows: 1, columns: threadColumns },
    body: [
      ...mergePlaces(cuts),
      define(register('brought', 'i32', [axis]), brought),
      define(shared('keys', keys.dtype, [axis]), keyAt(element('brought', 'i32', [at]))),
      define(shared('places', 'i32', [axis]), placeAt(inRow, element('brought', 'i32', [at]))),
      ...mergePlaces(merging),
      define(register('source', 'i32', [axis]), placeInRuns(merging)),
      ...leaving(into, [axis], result, { place, key: key(found) }, isKept),
    ],
  };
}
