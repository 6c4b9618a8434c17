/**
 * Merging two sorted runs by place: of the first d entries of what two runs become, those of the first run
 * are so many as a search finds whose end is not behind what the second would have to give instead (the merge
 * path of Odeh, Green, Mwassi, Shmueli and Birk, 2012). Each entry finds its own by that, in one step for
 * each bit of a run's length. Of entries that are alike those of the first run come first, so that what began
 * in order stays in order.
 */
import type { Arithmetic, OrderNode } from '../../graph/graph.ts';
import { define, loop, register, update } from '../tile-builder.ts';
import {
  apply,
  constant,
  coordinate,
  difference,
  element,
  masked,
  maximum,
  minimum,
  product,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';

/** What entries are sorted by. */
export interface Keys {
  readonly dtype: Exclude<Arithmetic, 'bool'>;
  readonly direction: OrderNode['direction'];
}

/** A key that no other is behind: of those that are alike, whatever comes last stays last. */
export function lastKey({ dtype, direction }: Keys): TileExpression {
  const [low, high] = dtype === 'u32' ? [0, 2 ** 32 - 1] : [-(2 ** 31), 2 ** 31 - 1];
  if (dtype === 'f32') return constant(Number.NaN, 'f32');
  return constant(direction === 'ascending' ? high : low, dtype);
}

/** Whether `left` may stand before `right`: it is better, or alike. NaN is behind all else. */
function mayPrecede({ dtype, direction }: Keys, left: TileExpression, right: TileExpression): TileExpression {
  const [low, high] = direction === 'ascending' ? [left, right] : [right, left];
  const plain = apply('le', 'bool', low, high);
  if (dtype !== 'f32') return plain;
  const isNaNOf = (value: TileExpression) => apply('ne', 'bool', value, value);
  const isNumber = apply('not', 'bool', isNaNOf(left));
  return apply('or', 'bool', isNaNOf(right), apply('and', 'bool', isNumber, plain));
}

export interface Merging {
  /** Names are made with it. */
  readonly prefix: string;
  readonly keys: Keys;
  /** Of the tile of places that are searched for. */
  readonly axes: readonly TileAxis[];
  /** How many entries are before each in what the runs become. */
  readonly place: TileExpression;
  /** Lengths of the runs; `most` is a power of two that neither is above. */
  readonly first: TileExpression;
  readonly second: TileExpression;
  readonly most: TileExpression;
  /** One more than its bits: so many steps. */
  readonly steps: TileExpression;
  readonly mostSteps: number;
  /** Keys of the runs by place, which is in their range where `isWithin` holds. */
  readonly keyOfFirst: (at: TileExpression) => TileExpression;
  readonly keyOfSecond: (at: TileExpression) => TileExpression;
}

/** What `mergePlaces` leaves: how many of the entries before each place are of the first run. */
function placesInFirst({ prefix, axes }: Pick<Merging, 'prefix' | 'axes'>): TileExpression {
  return element(
    `${prefix}low`,
    'i32',
    axes.map(({ extent }, axis) => coordinate(axis, extent)),
  );
}

export function mergePlaces(merging: Merging): readonly TileStatement[] {
  const { prefix, keys, axes, place, first, second, most, steps, mostSteps } = merging;
  const low = placesInFirst(merging);
  const stride = element(`${prefix}stride`, 'i32', [constant(0)]);
  const taken = sum(low, stride);
  const inFirst = merging.keyOfFirst(sum(taken, constant(-1)));
  const inSecond = merging.keyOfSecond(difference(place, taken));
  const isWithin = apply('le', 'bool', taken, minimum(place, first));
  const isTaken = apply('and', 'bool', isWithin, mayPrecede(keys, inFirst, inSecond));
  const one: TileAxis = { extent: 1, over: 'whole', block: 1 };
  return [
    define(register(`${prefix}low`, 'i32', axes), maximum(difference(place, second), constant(0))),
    define(register(`${prefix}stride`, 'i32', [one]), most),
    loop(
      `${prefix}step`,
      { from: constant(0), to: steps, step: 1, range: { low: 0, high: mostSteps - 1 } },
      () => [update(`${prefix}low`, masked(isTaken, taken, low)), update(`${prefix}stride`, half(stride))],
    ),
  ];
}

/** Of a number that is not negative. */
function half(value: TileExpression): TileExpression {
  const word: TileExpression = { op: 'convert', dtype: 'u32', operand: value };
  const halved = apply('shift_right', 'u32', word, constant(1, 'u32'));
  return { op: 'convert', dtype: 'i32', operand: halved };
}

/** Where in the runs, the second behind the first, the entry at the place is: behind `mergePlaces`. */
export function placeInRuns(merging: Merging): TileExpression {
  const { place, first } = merging;
  const before = placesInFirst(merging);
  return masked(isOfFirst(merging, before), before, sum(first, difference(place, before)));
}

/** Whether the entry at the place is of the first run, where it is known how many before it are. */
function isOfFirst(
  { keys, place, first, second, keyOfFirst, keyOfSecond }: Merging,
  before: TileExpression,
): TileExpression {
  const other = difference(place, before);
  const lastOf = (run: TileExpression) => maximum(sum(run, constant(-1)), constant(0));
  const own = keyOfFirst(minimum(before, lastOf(first)));
  const its = keyOfSecond(minimum(other, lastOf(second)));
  return apply(
    'and',
    'bool',
    apply('lt', 'bool', before, first),
    apply('or', 'bool', apply('le', 'bool', second, other), mayPrecede(keys, own, its)),
  );
}

/** Steps of a search among so many, a power of two. */
export function stepsOf(most: number): Pick<Merging, 'most' | 'steps' | 'mostSteps'> {
  const count = Math.log2(most) + 1;
  return { most: constant(most), steps: constant(count), mostSteps: count };
}

/** A power of two. */
export function doubled(value: TileExpression): TileExpression {
  return product(value, constant(2));
}
