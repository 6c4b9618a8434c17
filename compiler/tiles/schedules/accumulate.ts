/** Walking along rows, and the reductions of what is met there. */
import type { Arithmetic, Combiner } from '../../graph/graph.ts';
import { combine, identityOf, isBetter, isPositional, nowhere } from '../combiners.ts';
import { endExpression } from '../ends.ts';
import { type AxisGroup, groupIterators } from '../merge-axes.ts';
import { define, loop, reduceTiles, register, update } from '../tile-builder.ts';
import {
  apply,
  below,
  both,
  constant,
  coordinate,
  element,
  flatten,
  masked,
  product,
  quotient,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';

export type AccumulatorAxes =
  | readonly [results: TileAxis]
  | readonly [results: TileAxis, neighbours: TileAxis];

export interface Accumulation {
  readonly combiner: Combiner;
  /** Arithmetic type of what is reduced. */
  readonly dtype: Arithmetic;
  /** The reduced axes, as they are walked along. */
  readonly groups: readonly AxisGroup[];
  /** Their extents, axis by axis. */
  readonly extents: readonly number[];
  /** Of the accumulator: results, then the neighbours along a row that are read at once, where there are. */
  readonly axes: AccumulatorAxes;
  /**
   * What is reduced, at the iterators of the reduced axes, for each element of the accumulator; `isWithin`
   * where these are known to be before the ends of a run.
   */
  readonly value: (reduced: readonly TileExpression[], isWithin: boolean) => TileExpression;
  /** Before the names of tiles and loops, where a kernel has several. */
  readonly prefix?: string;
}

/** Defines the tile `result` of the first axis. */
export function accumulate(accumulation: Accumulation): TileStatement[] {
  const { combiner, dtype, groups, extents, axes, value, prefix = '' } = accumulation;
  const name = (tile: string) => `${prefix}${tile}`;
  const [results, neighbours] = axes;
  const place = axes.map((axis, at) => coordinate(at, axis.extent));
  const walk = (step: Step, isSplit: boolean) =>
    walkAlong(groups, neighbours?.extent ?? 1, step, { prefix, isSplit });
  const identity = identityOf(combiner, dtype);
  if (!isPositional(combiner)) {
    const soFar = name(neighbours === undefined ? 'result' : 'best');
    const own: Value = (iterators, mask, isWithin) => masked(mask, value(iterators, isWithin), identity);
    const met = isOneStep(groups, neighbours?.extent ?? 1)
      ? walk((...at) => [define(register(soFar, dtype, axes), own(...at))], true)
      : [
          define(register(soFar, dtype, axes), identity),
          ...walk(
            (...at) => [update(soFar, combine(combiner, element(soFar, dtype, place), own(...at), dtype))],
            true,
          ),
        ];
    return [...met, ...(neighbours === undefined ? [] : [reduceTiles(combiner, [soFar], [name('result')])])];
  }
  const best = element(name('best'), dtype, place);
  const where = element(name('where'), 'i32', place);
  const candidate = element(name('candidate'), dtype, place);
  const taken = element(name('taken'), 'bool', place);
  const found = element(name(neighbours === undefined ? 'where' : 'place'), 'i32', place.slice(0, 1));
  return [
    define(register(name('best'), dtype, axes), identity),
    define(register(name('where'), 'i32', axes), constant(nowhere)),
    ...walk((iterators, mask, isWithin) => {
      const position = flatten(iterators, extents);
      const own = { value: candidate, position };
      const isTaken = both(mask, isBetter(combiner, own, { value: best, position: where }))!;
      return [
        define(register(name('candidate'), dtype, axes), value(iterators, isWithin)),
        define(register(name('taken'), 'bool', axes), isTaken),
        update(name('best'), masked(taken, candidate, best)),
        update(name('where'), masked(taken, position, where)),
      ];
    }, false),
    ...(neighbours === undefined
      ? []
      : [reduceTiles(combiner, [name('best'), name('where')], [name('best_value'), name('place')])]),
    // Where there is nothing but NaN, the first.
    define(
      register(name('result'), 'i32', [results]),
      masked(apply('eq', 'bool', found, constant(nowhere)), constant(0), found),
    ),
  ];
}

/**
 * @param mask where the iterators are in range; undefined: everywhere
 * @param isWithin whether they are known to be before the ends of a run
 */
export type Step = (...at: Place) => readonly TileStatement[];

type Place = readonly [
  iterators: readonly TileExpression[],
  mask: TileExpression | undefined,
  isWithin: boolean,
];
type Value = (...at: Place) => TileExpression;

export interface Walk {
  /** Before the names of loops. */
  readonly prefix?: string;
  /** Whether what is behind the last whole step gets a loop of its own: without tiles then. */
  readonly isSplit?: boolean;
}

/** Whether all is met in one step: that is no loop, so that what is read then is known behind it too. */
function isOneStep(groups: readonly AxisGroup[], width: number): boolean {
  const [only, other] = groups;
  return only !== undefined && other === undefined && only.end === undefined && only.extent <= width;
}

/** Loops over axes of a node, the last one `width` at a time by axis 1 of the tiles that `step` computes. */
export function walkAlong(
  groups: readonly AxisGroup[],
  width: number,
  step: Step,
  { prefix = '', isSplit = false }: Walk = {},
): readonly TileStatement[] {
  const nest = (indices: readonly TileExpression[]): readonly TileStatement[] => {
    const at = indices.length;
    const group = groups[at];
    if (group === undefined) return step(groupIterators(groups, indices), undefined, false);
    const { extent, end } = group;
    const isLast = at === groups.length - 1;
    const stride = isLast ? width : 1;
    if (isOneStep(groups, width)) {
      const index = coordinate(1, width);
      const mask = extent === width ? undefined : below(index, constant(extent));
      return step(groupIterators(groups, [index]), mask, extent === width);
    }
    const to = endExpression(end, extent);
    const isExact = stride === 1 && end !== undefined && groups.length === 1;
    /** In whole steps nothing is out of range. */
    const steps = (suffix: string, bounds: readonly [TileExpression, TileExpression], isWhole: boolean) =>
      loop(
        `${prefix}r${at}${suffix}`,
        loopOf(bounds, stride, isWhole && end === undefined ? extent - stride : extent - 1),
        (variable) => {
          if (!isLast) return nest([...indices, variable]);
          const index = sum(variable, coordinate(1, width));
          const mask = isWhole ? undefined : below(index, constant(extent));
          return step(groupIterators(groups, [...indices, index]), mask, isWhole && groups.length === 1);
        },
      );
    const isSplitHere = end === undefined ? extent % stride !== 0 : groups.length === 1 && !isExact;
    if (!isLast || !isSplit || !isSplitHere) return [steps('', [constant(0), to], isExact)];
    const whole = product(quotient(to, stride), constant(stride));
    return [steps('', [constant(0), whole], true), steps('_last', [whole, to], false)];
  };
  return nest([]);
}

function loopOf([from, to]: readonly [TileExpression, TileExpression], step: number, last: number) {
  return { from, to, step, range: { low: 0, high: Math.floor(last / step) * step }, multipleOf: step };
}
