/**
 * Sorting, and the best so many, along rows. Short rows are put in order by counting
 * (`order-by-counting.ts`). Others are sorted tile by tile in the memory of workgroups (`tile-sort.ts`), one
 * kernel where a row is a tile. Of longer rows the few best are found in a tournament: those of each tile are
 * written side by side, and are rows that are so much shorter, until they are a tile. All of a long row is
 * sorted by merging tiles in pairs, and what they become (`merge-runs.ts`): log₂ of their number of kernels
 * that read and write keys and places once. Where invocations share no memory, or waiting for each other is
 * dear, runs are merged from single entries on, each entry by itself (`merge-one-by-one.ts`), and no run is
 * longer than what is wanted.
 *
 * Entries that are alike stay in the order in which they were throughout, so that results are the same by
 * every way.
 */
import { scaledExtent } from '../../graph/extent.ts';
import type { Tensor } from '../../graph/graph.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { endExpression, endOfRows, gridEnd } from '../ends.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { arithmeticOf, constant, load, type TileExpression } from '../tile-expression.ts';
import type { KernelParts, ScheduleContext } from './context.ts';
import { mergeOneByOne } from './merge-one-by-one.ts';
import { mergeRuns } from './merge-runs.ts';
import type { Keys } from './merging.ts';
import { orderByCounting } from './order-by-counting.ts';
import {
  type Entries,
  isTournament,
  type OrderForm,
  type OrderProblem,
  type Sorted,
} from './order-problem.ts';
import { tileSort, tilesOfRow } from './tile-sort.ts';

export function scheduleOrder(
  problem: OrderProblem,
  choice: ChoiceOf<OrderForm>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  switch (choice.form) {
    case 'count':
      return orderByCounting(problem.node, context);
    case 'sort':
      return sortTiles(sortingOf(problem, context), choice, sourceOf(problem, context));
    case 'merge':
      return mergeAll(sortingOf(problem, context), choice, sourceOf(problem, context), 1);
  }
}

/** What all kernels of a node have in common. */
interface Sorting {
  readonly problem: OrderProblem;
  readonly keys: Keys;
  /** The result of the node, and new tensors that have so many entries of each row in between. */
  readonly last: Sorted;
  readonly between: (kept: number) => Between;
  /** @param perRow what of the grid a row has, if so many workgroups have the same row */
  readonly kernel: (parts: Omit<KernelParts, 'gridEnds'>, perRow: number, rows: number) => ScheduledStep;
}

type Between = Sorted & { readonly keys: Tensor };

function sortingOf(problem: OrderProblem, context: ScheduleContext): Sorting {
  const { node, length, kept } = problem;
  const { name, shape, ends } = node.result;
  const source = context.tensors(node.source);
  const outer = shape.slice(0, -1);
  const type = arithmeticOf(load(source.id, source.dtype, constant(0)));
  const keys: Keys = { dtype: type === 'bool' ? 'i32' : type, direction: node.direction };
  const end = endOfRows(node.result);
  return {
    ...{ problem, keys },
    last: { kept, places: node.result, lastPlace: length - 1 },
    between: (count) => {
      const own = { shape: [...outer, count], ...(ends && { ends: outer.map((_, axis) => ends[axis]) }) };
      return {
        ...{ kept: count, lastPlace: length - 1 },
        places: context.temporary(`${name}_places`, { dtype: 'i32', ...own }),
        keys: context.temporary(`${name}_keys`, { dtype: keys.dtype, ...own }),
      };
    },
    kernel: (parts, perRow, rows) =>
      context.kernel({ ...parts, gridEnds: [gridEnd(end && scaledExtent(end, perRow), rows)] }),
  };
}

function sourceOf({ node, rows, length }: OrderProblem, { tensors }: ScheduleContext): Entries {
  const source = tensors(node.source);
  return {
    ...{ rows, rowsEnd: endExpression(endOfRows(node.result), rows), length },
    end: endExpression(source.ends?.at(-1), length),
    key: (offset) => asKey(load(source.id, source.dtype, offset)),
    place: (inRow) => inRow,
  };
}

function asKey(value: TileExpression): TileExpression {
  return arithmeticOf(value) === 'bool' ? { op: 'convert', dtype: 'i32', operand: value } : value;
}

/** Those that a kernel left. */
function stored({ rows, rowsEnd }: Entries, { kept, keys, places }: Between): Entries {
  return {
    ...{ rows, rowsEnd, length: kept, end: constant(kept) },
    key: (offset) => load(keys.id, keys.dtype, offset),
    place: (_, offset) => load(places.id, places.dtype, offset),
  };
}

function sortTiles(sorting: Sorting, choice: ChoiceOf<'sort'>, from: Entries): readonly ScheduledStep[] {
  const { problem, keys, last, between, kernel } = sorting;
  const tiles = tilesOfRow(from.length, choice);
  const name = `sort_${problem.node.result.name}`;
  if (tiles === 1) return [kernel(tileSort(name, keys, from, last, choice), 1, choice.threadRows)];
  const isShrinking = isTournament(problem, choice.entries);
  const perTile = isShrinking ? problem.kept : choice.entries;
  const into = between(tiles * perTile);
  const rest = stored(from, into);
  return [
    kernel(tileSort(name, keys, from, { ...into, kept: perTile }, choice), tiles, choice.threadRows),
    ...(isShrinking ? sortTiles(sorting, choice, rest) : mergeTiles(sorting, choice, rest, choice.entries)),
  ];
}

function mergeTiles(
  sorting: Sorting,
  choice: ChoiceOf<'sort'>,
  from: Entries,
  run: number,
): readonly ScheduledStep[] {
  const { problem, keys, last, between, kernel } = sorting;
  const isLast = 2 * run >= from.length;
  const next = isLast ? undefined : between(from.length);
  const name = `merge_${problem.node.result.name}`;
  const { perRow, ...parts } = mergeRuns(name, keys, from, run, next ?? last, choice);
  const step = kernel(parts, perRow, 1);
  return next === undefined ? [step] : [step, ...mergeTiles(sorting, choice, stored(from, next), 2 * run)];
}

function mergeAll(
  sorting: Sorting,
  choice: ChoiceOf<'merge'>,
  from: Entries,
  run: number,
): readonly ScheduledStep[] {
  const { problem, keys, last, between, kernel } = sorting;
  const most = Math.min(2 * run, problem.kept);
  const pairs = Math.ceil(from.length / (2 * run));
  // The last pair may have fewer.
  const count = (pairs - 1) * most + Math.min(most, from.length - (pairs - 1) * 2 * run);
  const next = pairs === 1 ? undefined : between(count);
  const name = `merge_${problem.node.result.name}`;
  const parts = mergeOneByOne(name, keys, from, { run, most }, next ?? last, choice);
  const step = kernel(parts, count, choice.threadColumns);
  return next === undefined ? [step] : [step, ...mergeAll(sorting, choice, stored(from, next), most)];
}
