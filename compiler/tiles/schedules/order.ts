/**
 * Sorting, and the best so many, along rows. Short rows are put in order by counting
 * (`order-by-counting.ts`). Others are sorted tile by tile in the memory of workgroups (`tile-sort.ts`), one
 * kernel where a row is a tile. Of longer rows the few best are found in a tournament: those of each tile are
 * written side by side, and are rows that are so much shorter, until they are a tile. All of a long row is
 * sorted by merging tiles in pairs, and what they become (`merge-runs.ts`): log₂ of their number of kernels
 * that read and write keys and places once.
 *
 * Entries that are alike stay in the order in which they were throughout, so that results are the same by
 * every way.
 */

import { scaledExtent } from '../../graph/extent.ts';
import type { Arithmetic, Tensor } from '../../graph/graph.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { endExpression, flatEnd, gridEnd } from '../ends.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { arithmeticOf, constant, load, type TileExpression } from '../tile-expression.ts';
import type { KernelParts, ScheduleContext } from './context.ts';
import { mergeRuns } from './merge-runs.ts';
import type { Keys } from './merging.ts';
import { orderByCounting } from './order-by-counting.ts';
import { isTournament, type OrderForm, type OrderProblem } from './order-problem.ts';
import { type Entries, type Sorted, tileSort, tilesOfRow } from './tile-sort.ts';

export function scheduleOrder(
  problem: OrderProblem,
  choice: ChoiceOf<OrderForm>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  return choice.form === 'count'
    ? orderByCounting(problem.node, context)
    : sortRows(problem, choice, context);
}

function sortRows(
  problem: OrderProblem,
  choice: ChoiceOf<'sort'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { node, rows, length, kept } = problem;
  const { entries } = choice;
  const { name, shape, ends } = node.result;
  const source = context.tensors(node.source);
  const keys: Keys = {
    dtype: keyType(load(source.id, source.dtype, constant(0))),
    direction: node.direction,
  };
  const outer = shape.slice(0, -1);
  const rowEnd = flatEnd([...outer.keys()], shape, ends ?? []);
  const kernel = (parts: Omit<KernelParts, 'gridEnds'>, perRow: number): ScheduledStep => {
    const end = gridEnd(rowEnd && scaledExtent(rowEnd, perRow), parts.threads.rows);
    return context.kernel({ ...parts, gridEnds: [end] });
  };
  const rowsEnd = endExpression(rowEnd, rows);
  const last: Sorted = { kept, places: node.result, lastPlace: length - 1 };
  const between = (count: number): Sorted & { readonly keys: Tensor } => {
    const type = { shape: [...outer, count], ...(ends && { ends: outer.map((_, axis) => ends[axis]) }) };
    return {
      ...{ kept: count, lastPlace: length - 1 },
      places: context.temporary(`${name}_places`, { dtype: 'i32', ...type }),
      keys: context.temporary(`${name}_keys`, { dtype: keys.dtype, ...type }),
    };
  };
  const tileSteps = (from: Entries, perTile: number): readonly ScheduledStep[] => {
    const tiles = tilesOfRow(from.length, choice);
    const into = tiles === 1 ? last : between(tiles * perTile);
    const sorted = tileSort(
      `sort_${name}`,
      keys,
      from,
      { ...into, kept: tiles === 1 ? kept : perTile },
      choice,
    );
    const steps = [kernel(sorted, tiles)];
    if (into === last || into.keys === undefined) return steps;
    return [...steps, ...behind({ places: into.places, keys: into.keys }, tiles * perTile)];
  };
  const isShrinking = isTournament(problem, entries);
  /** What is left to do with tiles of which each is in order. */
  const behind = (of: { readonly places: Tensor; readonly keys: Tensor }, count: number) =>
    isShrinking ? tileSteps(stored(of, count), kept) : mergeAll(of, count, entries);
  const stored = (
    { places, keys: ofKeys }: { readonly places: Tensor; readonly keys: Tensor },
    count: number,
  ): Entries => ({
    ...{ rows, rowsEnd, length: count, end: constant(count) },
    key: (offset) => load(ofKeys.id, ofKeys.dtype, offset),
    place: (_, offset) => load(places.id, places.dtype, offset),
  });
  const mergeAll = (
    of: { readonly places: Tensor; readonly keys: Tensor },
    count: number,
    run: number,
  ): readonly ScheduledStep[] => {
    const isLast = 2 * run >= count;
    const into = isLast ? last : between(count);
    const { perRow, ...parts } = mergeRuns(
      `merge_${name}`,
      keys,
      { rows, length: count, run, ...of },
      into,
      choice,
    );
    const step = kernel(parts, perRow);
    return into.keys === undefined
      ? [step]
      : [step, ...mergeAll({ places: into.places, keys: into.keys }, count, 2 * run)];
  };
  return tileSteps(
    {
      ...{ rows, rowsEnd, length, end: endExpression(source.ends?.at(-1), length) },
      key: (offset) => asKey(load(source.id, source.dtype, offset)),
      place: (inRow) => inRow,
    },
    isShrinking ? kept : entries,
  );
}

function keyType(value: TileExpression): Exclude<Arithmetic, 'bool'> {
  const type = arithmeticOf(value);
  return type === 'bool' ? 'i32' : type;
}

function asKey(value: TileExpression): TileExpression {
  return arithmeticOf(value) === 'bool' ? { op: 'convert', dtype: 'i32', operand: value } : value;
}
