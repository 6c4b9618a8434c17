/**
 * Sorting what fits into the memory of a workgroup: a row of threads has so many neighbours of a row of the
 * tensor, each thread some of them, and brings keys and places to shared memory. Runs of one, two, four …
 * entries are merged in pairs (`merging.ts`): for entries of which there are 2ᵐ that takes m rounds, with two
 * barriers each. Behind its end a row is filled up with keys that stay last.
 */
import { define, loop, register, shared, spread, update } from '../tile-builder.ts';
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
  product,
  quotient,
  remainder,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { KernelParts } from './context.ts';
import { doubled, type Keys, lastKey, type Merging, mergePlaces, placeInRuns } from './merging.ts';
import { type Entries, leaving, type Sorted } from './order-problem.ts';

export interface TileShape {
  readonly threadRows: number;
  readonly threadColumns: number;
  /** A power of two, which the threads of a row divide: so many entries of a row are sorted together. */
  readonly entries: number;
}

export function tilesOfRow(length: number, { entries }: Pick<TileShape, 'entries'>): number {
  return Math.max(1, Math.ceil(length / entries));
}

export function tileSort(
  name: string,
  keys: Keys,
  { rows, rowsEnd, length, end, key, place }: Entries,
  into: Sorted,
  { threadRows, threadColumns, entries }: TileShape,
): Omit<KernelParts, 'gridEnds'> {
  const tiles = tilesOfRow(length, { entries });
  const groups = Math.ceil((rows * tiles) / threadRows);
  const axes = [spread(threadRows, 'rows'), spread(entries, 'columns')];
  const [own, at] = [coordinate(0, threadRows), coordinate(1, entries)];
  const tile = sum(product(grid(0, groups), constant(threadRows)), own);
  const [row, piece] = [quotient(tile, tiles), remainder(tile, tiles)];
  const inRow = sum(product(piece, constant(entries)), at);
  const offset = sum(product(row, constant(length)), inRow);
  const isTile = below(tile, product(rowsEnd, constant(tiles)));
  const isReal = both(isTile, below(inRow, end));
  const { dtype } = keys;
  const value = (tileName: string, type: typeof dtype, where: TileExpression) =>
    element(tileName, type, [own, where]);
  const here = { key: value('key', dtype, at), place: value('place', 'i32', at) };
  const rounds = Math.log2(entries);
  const width = element('width', 'i32', [constant(0)]);
  const rest = value('rest', 'i32', at);
  const start = difference(at, rest);
  const merging = (round: TileExpression): Merging => ({
    ...{ prefix: '', keys, axes, place: rest, first: width, second: width, most: width },
    ...{ steps: sum(round, constant(1)), mostSteps: rounds },
    keyOfFirst: (from) => value('keys', dtype, sum(start, from)),
    keyOfSecond: (from) => value('keys', dtype, sum(start, width, from)),
  });
  const kept = into.kept;
  const result = sum(product(tile, constant(kept)), at);
  const isKept = both(isTile, below(at, constant(kept)));
  return {
    name,
    grid: [groups],
    threads: { rows: threadRows, columns: threadColumns },
    body: [
      define(register('key', dtype, axes), masked(isReal, key(offset), lastKey(keys))),
      define(register('place', 'i32', axes), masked(isReal, place(inRow, offset), inRow)),
      define(register('width', 'i32', [spread(1, 'whole')]), constant(1)),
      define(shared('keys', dtype, axes), here.key),
      define(shared('places', 'i32', axes), here.place),
      loop(
        'round',
        {
          from: constant(0),
          to: constant(rounds),
          step: 1,
          range: { low: 0, high: Math.max(0, rounds - 1) },
        },
        (round) => {
          const pair = merging(round);
          const from = element('from', 'i32', [own, at]);
          return [
            define(register('rest', 'i32', axes), apply('mod', 'i32', at, doubled(width))),
            ...mergePlaces(pair),
            define(register('from', 'i32', axes), sum(start, placeInRuns(pair))),
            update('key', value('keys', dtype, from)),
            update('place', value('places', 'i32', from)),
            update('keys', here.key),
            update('places', here.place),
            update('width', doubled(width)),
          ];
        },
      ),
      ...leaving(into, axes, result, here, isKept),
    ],
  };
}
