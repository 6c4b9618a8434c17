/**
 * Sorted runs of rows, merged in pairs: each entry of what two runs become is found by an invocation, which
 * searches for it in memory (`merging.ts`) and shares nothing with others.
 */
import { define, register, spread } from '../tile-builder.ts';
import {
  below,
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
import { type Keys, lastKey, type Merging, mergePlaces, placeInRuns, stepsOf } from './merging.ts';
import { type Entries, leaving, type Sorted } from './order-problem.ts';

/** Entries of a run but for the last one of a row, and how many of what two of them become are wanted. */
export interface RunLengths {
  readonly run: number;
  readonly most: number;
}

export function mergeOneByOne(
  name: string,
  keys: Keys,
  { rows, length, end, key, place }: Entries,
  { run, most }: RunLengths,
  into: Sorted,
  { threadColumns }: { readonly threadColumns: number },
): Omit<KernelParts, 'gridEnds'> {
  const { kept } = into;
  const groups = Math.ceil((rows * kept) / threadColumns);
  const axis = spread(threadColumns, 'threads');
  const which = coordinate(0, threadColumns);
  const result = sum(product(grid(0, groups), constant(threadColumns)), which);
  const isReal = below(result, constant(rows * kept));
  const flat = minimum(result, constant(rows * kept - 1));
  const [row, inRow] = [quotient(flat, kept), remainder(flat, kept)];
  const pair = product(quotient(inRow, most), constant(2 * run));
  const left = difference(constant(length), pair);
  const first = minimum(constant(run), left);
  const begin = product(row, constant(length));
  /** Of the pair, by place: the second run behind the first. */
  const keyAt = (at: TileExpression) => {
    const own = sum(pair, within(at));
    const found = key(sum(begin, own));
    return masked(below(own, end), found, lastKey(keys));
  };
  const within = (at: TileExpression) => minimum(maximum(at, constant(0)), difference(left, constant(1)));
  const merging: Merging = {
    ...{ prefix: '', keys, axes: [axis], place: remainder(inRow, most), first },
    second: minimum(difference(left, first), constant(run)),
    ...stepsOf(2 ** Math.ceil(Math.log2(run))),
    keyOfFirst: keyAt,
    keyOfSecond: (at) => keyAt(sum(first, at)),
  };
  const found = element('source', 'i32', [which]);
  const ofRow = sum(pair, found);
  return {
    name,
    grid: [groups],
    threads: { rows: 1, columns: threadColumns },
    body: [
      ...mergePlaces(merging),
      define(register('source', 'i32', [axis]), within(placeInRuns(merging))),
      ...leaving(into, [axis], result, { place: place(ofRow, sum(begin, ofRow)), key: keyAt(found) }, isReal),
    ],
  };
}
