/**
 * The places of the best entries of a row, best first: each is looked for among those that come after the one
 * before it, so that K of n take K walks along the row, and nothing is moved. Of equals the first place comes
 * first; NaN stands behind all else, in order of places.
 */
import type { Arithmetic, OrderNode } from '../../graph/graph.ts';
import { identityOf, isBetter, nowhere } from '../combiners.ts';
import type { AxisGroup } from '../merge-axes.ts';
import { define, reduceTiles, register, update } from '../tile-builder.ts';
import {
  apply,
  both,
  constant,
  coordinate,
  element,
  masked,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';
import { walkAlong } from './accumulate.ts';

export interface BestEntries {
  /** Before the names of tiles. */
  readonly prefix: string;
  readonly direction: OrderNode['direction'];
  /** The axis of the entries. */
  readonly group: AxisGroup;
  readonly dtype: Arithmetic;
  readonly hasNaN: boolean;
  /** Of the tiles: rows, then the entries that are met at once. */
  readonly axes: readonly [TileAxis, TileAxis];
  /** How many are wanted: no more than there are entries. */
  readonly count: number;
  readonly entry: (place: TileExpression) => TileExpression;
}

export interface BestPlaces {
  readonly statements: readonly TileStatement[];
  /** For each row of a tile, best first. */
  readonly places: readonly TileExpression[];
}

export function bestPlaces(wanted: BestEntries): BestPlaces {
  const own = [coordinate(0, wanted.axes[0].extent)];
  const statements: TileStatement[] = [];
  const places: TileExpression[] = [];
  let before: Found | undefined;
  for (let rank = 0; rank < wanted.count; rank++) {
    const prefix = `${wanted.prefix}best${rank}_`;
    statements.push(...oneBest(wanted, prefix, before));
    const at = (name: string, dtype: Arithmetic) => element(`${prefix}${name}`, dtype, own);
    before = { value: at('best_value', wanted.dtype), place: at('at', 'i32'), wasNaN: at('is_nan', 'bool') };
    places.push(before.place);
  }
  return { statements, places };
}

/** What was found last: all better entries come before it. */
interface Found {
  readonly value: TileExpression;
  readonly place: TileExpression;
  /** Then there are no numbers left. */
  readonly wasNaN: TileExpression;
}

/** Defines `best_value`, its place `at`, and `is_nan`. */
function oneBest(wanted: BestEntries, prefix: string, before: Found | undefined): TileStatement[] {
  const { direction, group, dtype, hasNaN, axes, entry } = wanted;
  const combiner = direction === 'ascending' ? 'argmin' : 'argmax';
  const place = axes.map((axis, at) => coordinate(at, axis.extent));
  const at = (name: string, type: Arithmetic) => element(`${prefix}${name}`, type, place);
  const row = (name: string, type: Arithmetic) => element(`${prefix}${name}`, type, place.slice(0, 1));
  const tile = (name: string, type: Arithmetic) => register(`${prefix}${name}`, type, axes);
  const ofRow = (name: string, type: Arithmetic) => register(`${prefix}${name}`, type, axes.slice(0, 1));
  const [best, where, nan] = [at('best', dtype), at('where', 'i32'), at('nan', 'i32')];
  const [candidate, taken] = [at('candidate', dtype), at('taken', 'bool')];
  const isNowhere = apply('eq', 'bool', row('place', 'i32'), constant(nowhere));
  return [
    define(tile('best', dtype), identityOf(combiner, dtype)),
    define(tile('where', 'i32'), constant(nowhere)),
    ...(hasNaN ? [define(tile('nan', 'i32'), constant(nowhere))] : []),
    ...walkAlong(
      [group],
      axes[1].extent,
      ([position], mask) => {
        const own = { value: candidate, position: position! };
        const isNext = both(
          before && comesAfter(own, before, direction),
          isBetter(combiner, own, { value: best, position: where }),
        );
        const isNextNaN = both(
          apply('ne', 'bool', candidate, candidate),
          before && isLaterNaN(position!, before),
        );
        return [
          define(tile('candidate', dtype), entry(position!)),
          define(tile('taken', 'bool'), both(mask, isNext)!),
          update(`${prefix}best`, masked(taken, candidate, best)),
          update(`${prefix}where`, masked(taken, position!, where)),
          ...(hasNaN
            ? [
                update(
                  `${prefix}nan`,
                  apply('min', 'i32', nan, masked(both(mask, isNextNaN), position!, constant(nowhere))),
                ),
              ]
            : []),
        ];
      },
      { prefix },
    ),
    reduceTiles(combiner, [`${prefix}best`, `${prefix}where`], [`${prefix}best_value`, `${prefix}place`]),
    ...(hasNaN ? [reduceTiles('min', [`${prefix}nan`], [`${prefix}first_nan`])] : []),
    define(ofRow('is_nan', 'bool'), hasNaN ? isNowhere : constant(0, 'bool')),
    define(
      ofRow('at', 'i32'),
      hasNaN ? masked(isNowhere, row('first_nan', 'i32'), row('place', 'i32')) : row('place', 'i32'),
    ),
  ];
}

/** Of numbers. */
function comesAfter(
  own: { readonly value: TileExpression; readonly position: TileExpression },
  before: Found,
  direction: OrderNode['direction'],
): TileExpression {
  const [low, high] = direction === 'ascending' ? [before.value, own.value] : [own.value, before.value];
  const isWorse = apply('lt', 'bool', low, high);
  const isEqual = apply('eq', 'bool', own.value, before.value);
  const isLater = apply('lt', 'bool', before.place, own.position);
  const isAfter = apply('or', 'bool', isWorse, apply('and', 'bool', isEqual, isLater));
  return apply('and', 'bool', isAfter, apply('not', 'bool', before.wasNaN));
}

function isLaterNaN(position: TileExpression, { place, wasNaN }: Found): TileExpression {
  return apply('or', 'bool', apply('not', 'bool', wasNaN), apply('lt', 'bool', place, position));
}
