/**
 * Which rows a workgroup of a grouped contraction has. Experts have whole tiles of rows, in the order that
 * `route` made, and the tiles are counted through: workgroup g has tile g. There are at most
 * rows / tile + experts, so that some have none.
 */
import type { GroupedLookup, Scalar } from '../../graph/graph.ts';
import { iterator, mapScalar } from '../../graph/scalar.ts';
import { define, loop, register, spread, update } from '../tile-builder.ts';
import {
  apply,
  below,
  constant,
  difference,
  element,
  grid,
  intervalOf,
  load,
  masked,
  product,
  quotient,
  sum,
  type TileExpression,
  within,
} from '../tile-expression.ts';
import type { TileStatement } from '../tile-program.ts';

export interface GroupedRows {
  /** How many workgroups there are along axis 1 of the grid. */
  readonly groups: number;
  /** What finds the others. */
  readonly prepare: readonly TileStatement[];
  readonly expert: TileExpression;
  /** Positions in the order, from `start` to before `end`: none where these are the same. */
  readonly start: TileExpression;
  readonly end: TileExpression;
}

/**
 * @param tile rows of a workgroup at most, of `rows` in all
 * @param place which tile it has, where that is not its place along axis 1 of the grid
 * @param together experts that are looked at in a step, so that what is read of them comes at the same time
 */
export function groupedRows(
  { experts, offsets }: GroupedLookup,
  rows: number,
  tile: number,
  place?: TileExpression,
  together = 1,
): GroupedRows {
  const groups = Math.min(rows, Math.ceil(rows / tile) + experts);
  const number = (name: string) => register(name, 'i32', [spread(1, 'whole')]);
  const read = (name: string) => element(name, 'i32', [constant(0)]);
  const offsetOf = (place: TileExpression) => load(offsets, 'i32', place);
  const group = place ?? grid(1, groups);
  const bounds = {
    ...{ from: constant(0), to: constant(experts), step: together, multipleOf: together },
    range: { low: 0, high: Math.floor((experts - 1) / together) * together },
  };
  const lookedAt = (e: TileExpression): readonly TileStatement[] => {
    const [begin, end] = [offsetOf(e), offsetOf(sum(e, constant(1)))];
    // One that there is not has no tiles.
    const count = masked(below(e, constant(experts)), difference(end, begin), constant(0));
    const after = sum(read('tiles'), quotient(sum(count, constant(tile - 1)), tile));
    const isHere = apply(
      'and',
      'bool',
      apply('le', 'bool', read('tiles'), group),
      apply('lt', 'bool', group, after),
    );
    const first = sum(begin, product(difference(group, read('tiles')), constant(tile)));
    return [
      update('expert', masked(isHere, e, read('expert'))),
      update('start', masked(isHere, first, read('start'))),
      update('end', masked(isHere, end, read('end'))),
      update('tiles', after),
    ];
  };
  const prepare: readonly TileStatement[] = [
    define(number('expert'), constant(0)),
    define(number('start'), constant(0)),
    define(number('end'), constant(0)),
    define(number('tiles'), constant(0)),
    loop('e', bounds, (e) =>
      Array.from({ length: together }, (_, at) => lookedAt(sum(e, constant(at)))).flat(),
    ),
  ];
  const expert = within(read('expert'), { low: 0, high: experts - 1 });
  return { groups, prepare, expert, start: read('start'), end: read('end') };
}

/**
 * The same in numbers that do not change any more, so that what follows from them is computed once, and kept
 * in registers: for kernels that have some left.
 */
export function settled({ groups, prepare, expert, start, end }: GroupedRows): GroupedRows {
  const own = (name: string) => element(`own_${name}`, 'i32', [constant(0)]);
  const taken = Object.entries({ expert, start, end }).map(([name, value]) =>
    define(register(`own_${name}`, 'i32', [spread(1, 'whole')]), value),
  );
  return {
    groups,
    prepare: [...prepare, ...taken],
    ...{ expert: within(own('expert'), intervalOf(expert)), start: own('start'), end: own('end') },
  };
}

/** The factor with an iterator of its own, `axis`, in place of the look-up of the expert. */
export function ofExpert(factor: Scalar, { pick, axes }: GroupedLookup, axis: number): Scalar {
  const isLookup = (part: Scalar) =>
    part.op === 'load' &&
    part.tensor === pick &&
    part.subscripts.every(
      (subscript, place) => subscript.op === 'iterator' && subscript.axis === axes[place],
    );
  return mapScalar(factor, (part) => (isLookup(part) ? iterator(axis) : part));
}
