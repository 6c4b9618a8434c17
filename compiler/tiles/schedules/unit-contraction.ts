/**
 * Contractions by matrix units: a workgroup's warps share a tile of the result, each accumulating a part of
 * it in registers as its units have it, while blocks of both factors are brought ahead through shared memory.
 * The results go to memory through shared memory too, in the place of the factors, so that neighbours are
 * finished and stored together.
 */
import type { ChoiceOf } from '../choices/choice.ts';
import { gridEnd } from '../ends.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { innermostStrides } from '../merge-axes.ts';
import type { ScheduledStep } from '../scheduled.ts';
import {
  define,
  loop,
  multiplyAccumulate,
  packed,
  pipeline,
  register,
  shared,
  spread,
  store,
} from '../tile-builder.ts';
import {
  below,
  both,
  constant,
  coordinate,
  element,
  flatten,
  grid,
  masked,
  product,
  quotient,
  remainder,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { Box, Feed, Packed, TileStatement } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { ContractionProblem, Ending, Results } from './contraction.ts';
import { contractionRows } from './contraction-rows.ts';
import { factorBox } from './unit-boxes.ts';

/** Words between rows of results, so that the lanes of a warp put theirs into different banks. */
export const resultPadding = 8;

/** Vectors that an invocation finishes before it goes on to the next ones. */
const mostVectors = 4;

/** @param ending what is done with the results, in registers as units have them, where they are not stored */
export function unitContraction(
  problem: ContractionProblem,
  stored: Packed,
  choice: ChoiceOf<'units'>,
  context: ScheduleContext,
  ending?: Ending,
): ScheduledStep {
  const { node, contraction, batch, rows, columns, reduced, rightOrder } = problem;
  const { warpRows, warpColumns, depth, stages } = choice;
  const tile = { rows: warpRows * choice.rows, columns: warpColumns * choice.columns };
  const rank = node.result.shape.length;
  const total = rank + node.reduce.extents.length;
  const groups = Math.ceil(columns.extent / tile.columns);
  const walk = walkOf(problem, Math.ceil(rows.extent / tile.rows), groups);
  const source = contractionRows(problem, tile.rows, { place: walk?.row, settles: true });
  const at = (row: TileExpression, column: TileExpression, along: TileExpression) => [
    ...iteratorsAt(
      total,
      [
        [batch, grid(0, batch.extent)],
        [rows, row],
        [columns, column],
        [reduced, along],
      ],
      constant(0),
    ),
    ...source.extra,
  ];
  const group = walk?.column ?? grid(2, groups);
  const columnAt = (within: TileExpression) => sum(product(group, constant(tile.columns)), within);
  const { tensors } = context;
  const finished = (value: TileExpression, iterators: readonly TileExpression[]) =>
    node.reduce.finish === undefined
      ? value
      : lowerScalar(node.reduce.finish, { tensors, iterators, reduced: value });

  /** A factor whose tile has the reduced axis first or last. */
  const feed = (
    name: string,
    extent: number,
    isDeepFirst: boolean,
    value: (within: TileExpression, along: TileExpression) => TileExpression,
    k: TileExpression,
    box: Box | undefined,
  ): Feed => {
    const axes = [spread(extent, 'whole'), spread(depth, 'whole')];
    const places = axes.map((axis, place) => coordinate(isDeepFirst ? 1 - place : place, axis.extent));
    const along = sum(k, places[1]!);
    return {
      tile: packed(name, stored, isDeepFirst ? axes.toReversed() : axes),
      value: masked(below(along, constant(reduced.extent)), value(places[0]!, along), constant(0, 'f32')),
      ...(box && { box }),
    };
  };
  const leftOrder = leftOrderOf(problem, context);
  const feeds = (k: TileExpression): readonly Feed[] => [
    feed(
      'lefts',
      tile.rows,
      leftOrder === 'km',
      (within, along) =>
        lowerScalar(contraction.left, { tensors, iterators: at(source.flat(within), constant(0), along) }),
      k,
      factorBox(
        problem,
        'rows',
        { factor: contraction.left, extra: [] },
        stored,
        leftOrder === 'km',
        [k, source.flat(constant(0))],
        context,
      ),
    ),
    feed(
      'rights',
      tile.columns,
      rightOrder === 'kn',
      (within, along) =>
        lowerScalar(source.right, { tensors, iterators: at(constant(0), columnAt(within), along) }),
      k,
      factorBox(
        problem,
        'columns',
        { factor: source.right, extra: source.extra },
        stored,
        rightOrder === 'kn',
        [k, columnAt(constant(0))],
        context,
      ),
    ),
  ];

  // Of four rows of warps, warpgroups may make one product.
  const areGroups = warpColumns === 1 && warpRows % 4 === 0;
  const axes = [
    spread(tile.rows, 'unitRows', areGroups ? 16 : choice.rows),
    spread(tile.columns, 'unitColumns', choice.columns),
  ] as const;
  const last = Math.floor(Math.max(0, reduced.extent - 1) / depth) * depth;
  const body: readonly TileStatement[] = [
    ...source.prepare,
    define(register('sum', 'f32', axes), constant(0, 'f32')),
    pipeline(
      'k',
      {
        from: constant(0),
        to: source.depth,
        step: depth,
        stages,
        range: { low: 0, high: last },
        multipleOf: depth,
      },
      (k) => ({
        feeds: feeds(k),
        body: [multiplyAccumulate('sum', 'lefts', 'rights', rightOrder, leftOrder)],
      }),
    ),
    ...(ending === undefined ? storing() : ending(results())),
  ];

  function results(): Results {
    const [row, column] = [coordinate(0, tile.rows), coordinate(1, tile.columns)];
    const iterators = at(source.flat(row), columnAt(column), constant(0));
    return {
      ...{ rows: axes[0], columns: axes[1], iterators, group, groups },
      value: finished(element('sum', 'f32', [row, column]), iterators),
      isRow: source.mask(row),
      isColumn: below(columnAt(column), constant(columns.extent)),
    };
  }

  /** All invocations finish neighbours of the results, which they exchange, some vectors at a time. */
  function storing(): readonly TileStatement[] {
    const threads = 32 * warpRows * warpColumns;
    const results = tile.rows * tile.columns;
    const together = Math.min(results, threads * 4 * mostVectors);
    const bounds = {
      ...{ from: constant(0), to: constant(results), step: together, multipleOf: together },
      range: { low: 0, high: results - together },
    };
    const exchanged = define(
      { ...shared('results', 'f32', axes), padding: resultPadding },
      element('sum', 'f32', [coordinate(0, tile.rows), coordinate(1, tile.columns)]),
    );
    const finishing = loop('part', bounds, (part) => {
      const flat = sum(part, coordinate(0, together));
      const [row, column] = [quotient(flat, tile.columns), remainder(flat, tile.columns)];
      const iterators = at(source.flat(row), columnAt(column), constant(0));
      return [
        store(
          node.result,
          [spread(together, 'threads', 4)],
          flatten(iterators.slice(0, rank), node.result.shape),
          finished(element('results', 'f32', [row, column]), iterators),
          both(source.mask(row), below(columnAt(column), constant(columns.extent))),
        ),
      ];
    });
    return [exchanged, finishing];
  }

  return context.kernel({
    name: `${node.grouped === undefined ? 'contract' : 'grouped'}_${node.result.name}`,
    ...(walk === undefined
      ? {
          grid: [batch.extent, source.grid, groups],
          gridEnds: [gridEnd(batch.end, 1), source.gridEnd, gridEnd(columns.end, tile.columns)],
        }
      : { grid: [batch.extent, source.grid * groups], gridEnds: [gridEnd(batch.end, 1), undefined] }),
    threads: { rows: warpRows, columns: 32 * warpColumns },
    body,
  });
}

/** Which tile a workgroup has that is counted through in axis 1 of the grid. */
interface Walk {
  readonly row: TileExpression;
  readonly column: TileExpression;
}

/** Rows of tiles that are walked along together. */
const mostTogether = 8;

/**
 * Workgroups that run at the same time should read few rows and few columns, which a cache then has: some
 * rows of tiles are walked along together, column by column.
 */
function walkOf({ node, rows, columns }: ContractionProblem, high: number, wide: number): Walk | undefined {
  const together = [mostTogether, 4, 2].find((each) => high % each === 0);
  const isPlain = node.grouped === undefined && rows.end === undefined && columns.end === undefined;
  if (!isPlain || together === undefined || wide === 1) return undefined;
  const tile = grid(1, high * wide);
  const band = quotient(tile, together * wide);
  const within = remainder(tile, together * wide);
  return {
    row: sum(product(band, constant(together)), remainder(within, together)),
    column: quotient(within, together),
  };
}

/** Whether neighbours of the left factor in memory lie along what is reduced, or along rows. */
function leftOrderOf({ node, contraction }: ContractionProblem, context: ScheduleContext): 'mk' | 'km' {
  if (node.grouped !== undefined) return 'mk';
  const extents = [...node.result.shape, ...node.reduce.extents];
  const neighbours = (axis: number | undefined) =>
    axis === undefined ? 0 : innermostStrides(contraction.left, extents, axis, context.tensors);
  return neighbours(contraction.rows.at(-1)) > neighbours(contraction.reduced.at(-1)) ? 'km' : 'mk';
}
