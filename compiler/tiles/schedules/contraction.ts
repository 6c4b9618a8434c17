/**
 * Contractions: a tile of the result is accumulated in registers, `into[m, n] += left[m, k] · right[k, n]`,
 * over blocks of the reduced axes. Both factors are whole expressions (a prologue costs no kernel), `finish`
 * is the epilogue. Two ways to feed the accumulators:
 *   - from registers: each invocation loads its part of both factors itself; where subgroups are of fixed
 *     size the rows of `left` may be dealt out to the lanes and broadcast. No workgroup memory, no barriers:
 *     best on a software adapter;
 *   - staged: all invocations together bring blocks of both factors into workgroup memory.
 * By matrix units see `unit-contraction.ts`.
 */
import type { Scalar } from '../../graph/graph.ts';
import type { Contraction } from '../../optimize/contraction.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import type { ContractionForm } from '../choices/contraction.ts';
import { assumingWithin, endsOf, gridEnd } from '../ends.ts';
import { lowerScalar } from '../lower-scalar.ts';
import type { PackedPair } from '../packed.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { define, loop, multiplyAccumulate, register, shared, spread, store, whole } from '../tile-builder.ts';
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
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';
import { type AxisClass, iteratorsAt } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import { contractionRows } from './contraction-rows.ts';
import type { EightBitProduct } from './eight-bit-product.ts';
import { groupedOnCore } from './grouped-on-core.ts';
import { multipliedByUnits } from './in-parts.ts';
import { sharesWords, widened } from './narrow-result.ts';
import { panelsOf } from './panels.ts';
import { type ReductionNode, type ReductionProblem, scheduleReduction } from './reduction.ts';
import { thinKernel } from './thin-contraction.ts';
import { unitContraction } from './unit-contraction.ts';
import type { WideFactor } from './unit-factors.ts';

export function scheduleContraction(
  problem: ContractionProblem,
  choice: ChoiceOf<ContractionForm>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  switch (choice.form) {
    case 'tiles':
      return owningWords(problem, context, (own) =>
        own.node.grouped === undefined || context.device.core === undefined
          ? contractionSteps(own, choice, context)
          : [groupedOnCore(own, own.node.grouped, choice, context)],
      );
    case 'units':
      return owningWords(problem, context, (own) => {
        const { before, ...multiplied } = multipliedByUnits(own, context);
        return [...before, unitContraction(multiplied, choice, context)];
      });
    case 'thin':
      return owningWords(problem, context, (own) => [context.kernel(thinKernel(own, choice, context))]);
    case 'rows':
    case 'columns':
    case 'split':
      return scheduleReduction(problem.reduction, choice, context);
  }
}

/** Where runs of four results are no whole words of the tensor, they are first computed wide. */
function owningWords(
  problem: ContractionProblem,
  context: ScheduleContext,
  schedule: (problem: ContractionProblem) => readonly ScheduledStep[],
): readonly ScheduledStep[] {
  const { result } = problem.node;
  if (!sharesWords(result) || ownsWords(problem)) return schedule(problem);
  return widened(result, context, (wide) =>
    schedule({ ...problem, node: { ...problem.node, result: wide } }),
  );
}

// ── the problem ────────────────────────────────────────────────────────────────────────────────────────────

export interface ContractionProblem {
  readonly kind: 'contraction';
  readonly node: ReductionNode;
  readonly contraction: Contraction;
  readonly batch: AxisClass;
  readonly rows: AxisClass;
  readonly columns: AxisClass;
  readonly reduced: AxisClass;
  /** Whether neighbours of `left` in memory lie along what is reduced (`mk`) or along rows (`km`). */
  readonly leftOrder: 'mk' | 'km';
  /** Whether neighbours of `right` in memory lie along columns (`kn`) or along the reduced axis (`nk`). */
  readonly rightOrder: 'kn' | 'nk';
  /** Whether four neighbours of the right factor are a vector of f32 in memory. */
  readonly hasVectors: boolean;
  /** Whether the right factor has to be computed, or read from few bits: many rows should then share it. */
  readonly isDear: boolean;
  /** What matrix units would multiply; undefined where they cannot. */
  readonly packed: PackedPair | undefined;
  /** Where that is 8-bit floats: these factors, and what is multiplied to sums of their products. */
  readonly eights: EightBitProduct | undefined;
  /** The factor that they can multiply in parts, where they cannot as it is. */
  readonly wide: WideFactor | undefined;
  /** How many parts a factor has, of which the first of the reduced axes is the number. */
  readonly parts: number;
  /** The same as a sum like any other. */
  readonly reduction: ReductionProblem;
}

/** Whether runs of four results, stored by one invocation, are whole aligned words of the tensor. */
function ownsWords({ node, columns }: ContractionProblem): boolean {
  const last = node.result.shape.length - 1;
  return columns.axes.at(-1) === last && columns.parts.at(-1)! % 4 === 0;
}

// ── tiles ──────────────────────────────────────────────────────────────────────────────────────────────────

interface Tiles
  extends Pick<ChoiceOf<'tiles'>, 'staging' | 'threadRows' | 'threadColumns' | 'depth' | 'panels'> {
  /** Extents of a workgroup's tile. */
  readonly rows: number;
  readonly columns: number;
}

function tilesOf({ rows, columns, ...choice }: ChoiceOf<'tiles'>): Tiles {
  return { ...choice, rows: choice.threadRows * rows, columns: choice.threadColumns * columns };
}

// ── the kernel ─────────────────────────────────────────────────────────────────────────────────────────────

/** The results of a workgroup, along axes 0 (rows) and 1 (columns) of a tile. */
export interface Results {
  readonly rows: TileAxis;
  readonly columns: TileAxis;
  /** Iterators of the node's axes. */
  readonly iterators: readonly TileExpression[];
  /** Finished. */
  readonly value: TileExpression;
  /** Where there is such a row, and such a column. */
  readonly isRow: TileExpression | undefined;
  readonly isColumn: TileExpression | undefined;
  /** Which columns of all tiles these are, and how many there are. */
  readonly group: TileExpression;
  readonly groups: number;
}

/** What is done with results. */
export type Ending = (results: Results) => readonly TileStatement[];

function storing({ result }: ReductionNode): Ending {
  return ({ rows, columns, iterators, value, isRow, isColumn }) => [
    store(
      result,
      [rows, columns],
      flatten(iterators.slice(0, result.shape.length), result.shape),
      value,
      both(isRow, isColumn),
    ),
  ];
}

export function contractionSteps(
  problem: ContractionProblem,
  choice: ChoiceOf<'tiles'>,
  context: ScheduleContext,
  ending = storing(problem.node),
): readonly ScheduledStep[] {
  const tiles = tilesOf(choice);
  const { node, contraction, batch, rows, columns, reduced } = problem;
  const rank = node.result.shape.length;
  const total = rank + node.reduce.extents.length;
  const source = contractionRows(problem, tiles.rows);
  const rowAt = (axis: number) => coordinate(axis, tiles.rows);
  const groups = Math.ceil(columns.extent / tiles.columns);
  const column = (axis: number) =>
    sum(product(grid(2, groups), constant(tiles.columns)), coordinate(axis, tiles.columns));
  const at = (
    row: TileExpression,
    col: TileExpression,
    depth: TileExpression,
    ofBatch = grid(0, batch.extent),
  ) => [
    ...iteratorsAt(
      total,
      [
        [batch, ofBatch],
        [rows, row],
        [columns, col],
        [reduced, depth],
      ],
      constant(0),
    ),
    ...source.extra,
  ];
  const lowered = (scalar: Scalar, iterators: readonly TileExpression[], value?: TileExpression) =>
    lowerScalar(scalar, {
      tensors: context.tensors,
      iterators,
      ...(value === undefined ? {} : { reduced: value }),
    });
  const zero = constant(0, 'f32');
  const isReal = (depth: TileExpression) => below(depth, constant(reduced.extent));
  // A loop that goes step by step ends where the axes do.
  const inLoop = (factor: Scalar) =>
    tiles.depth === 1 ? assumingWithin(factor, reduced.axes, endsOf(node)) : factor;
  const left = (rowAxis: number, depth: TileExpression) =>
    masked(
      isReal(depth),
      lowered(inLoop(contraction.left), at(source.flat(rowAt(rowAxis)), constant(0), depth)),
      zero,
    );
  const panels = !tiles.panels
    ? undefined
    : panelsOf(
        {
          name: node.result.name,
          batches: batch.extent,
          columns: columns.extent,
          depth: reduced.extent,
          ends: {
            batches: batch.end,
            columns: columns.end,
            depth: reduced.end,
          },
          width: tiles.columns,
          value: (ofBatch, col, depth) => lowered(source.right, at(constant(0), col, depth, ofBatch)),
        },
        context,
      );
  const rightAt = (columnAxis: number, depth: TileExpression) =>
    panels === undefined
      ? lowered(inLoop(source.right), at(constant(0), column(columnAxis), depth))
      : panels.element(grid(0, batch.extent), grid(2, groups), depth, coordinate(columnAxis, tiles.columns));
  const right = (columnAxis: number, depth: TileExpression) =>
    masked(isReal(depth), rightAt(columnAxis, depth), zero);
  const fed = panels === undefined ? problem : { ...problem, rightOrder: 'kn' as const };

  const layout = layoutOf(tiles, context);
  const value = element('sum', 'f32', [coordinate(0, tiles.rows), coordinate(1, tiles.columns)]);
  const outputs = at(source.flat(rowAt(0)), column(1), constant(0));
  const { finish } = node.reduce;
  const full = problem.reduced.extent % tiles.depth === 0;
  const kernel = context.kernel({
    name: `${node.grouped === undefined ? 'contract' : 'grouped'}_${node.result.name}`,
    grid: [batch.extent, source.grid, groups],
    gridEnds: [gridEnd(batch.end, 1), source.gridEnd, gridEnd(columns.end, tiles.columns)],
    threads: { rows: tiles.threadRows, columns: tiles.threadColumns },
    body: [
      ...source.prepare,
      define(register('sum', 'f32', [layout.rows, layout.columns]), zero),
      loop(
        'k',
        {
          from: constant(0),
          to: source.depth,
          step: tiles.depth,
          range: {
            low: 0,
            high: full
              ? reduced.extent - tiles.depth
              : Math.floor((reduced.extent - 1) / tiles.depth) * tiles.depth,
          },
          multipleOf: tiles.depth,
        },
        (k) => feed[tiles.staging](fed, tiles, layout, k, left, right),
      ),
      ...ending({
        ...{ rows: layout.rows, columns: layout.columns, iterators: outputs },
        value: finish === undefined ? value : lowered(finish, outputs, value),
        isRow: source.mask(rowAt(0)),
        isColumn: below(column(1), constant(columns.extent)),
        ...{ group: grid(2, groups), groups },
      }),
    ],
  });
  return panels === undefined ? [kernel] : [panels.pack, kernel];
}

interface Layout {
  readonly rows: TileAxis;
  readonly columns: TileAxis;
  /** The rows of `left` as an invocation loads them itself. */
  readonly dealtRows: TileAxis;
  /** The reduced axis as an invocation loads `left`. */
  readonly deep: TileAxis;
}

function layoutOf(tiles: Tiles, { device }: ScheduleContext): Layout {
  const columns = spread(tiles.columns, 'columns', 4);
  const rows =
    tiles.threadRows === 1
      ? spread(tiles.rows, 'whole')
      : spread(tiles.rows, 'rows', tiles.rows / tiles.threadRows);
  const dealtRows = tiles.staging === 'lanes' ? spread(tiles.rows, 'lanes') : rows;
  const deep = device.core === undefined ? whole(tiles.depth) : spread(tiles.depth, 'whole');
  return { rows, columns, dealtRows, deep };
}

type Factor = (axis: number, depth: TileExpression) => TileExpression;
type Feed = (
  problem: ContractionProblem,
  tiles: Tiles,
  layout: Layout,
  k: TileExpression,
  left: Factor,
  right: Factor,
) => readonly TileStatement[];

const feed: { readonly [S in Tiles['staging']]: Feed } = {
  registers: ({ rightOrder }, { depth }, layout, k, left, right) => {
    const deep = whole(depth);
    const along = sum(k, coordinate(1, depth));
    return [
      define(register('left', 'f32', [layout.dealtRows, layout.deep]), left(0, along)),
      rightOrder === 'kn'
        ? define(
            register('right', 'f32', [spread(depth, 'whole'), layout.columns]),
            right(1, sum(k, coordinate(0, depth))),
          )
        : define(
            register('right', 'f32', [spread(layout.columns.extent, 'columns', 4), deep]),
            right(0, along),
          ),
      multiplyAccumulate('sum', 'left', 'right', rightOrder),
    ];
  },
  /** The layout says that the left factor is dealt out. */
  lanes: (...parts) => feed.registers(...parts),
  shared: ({ rightOrder }, tiles, layout, k, left, right) => {
    const step = 4;
    const deep = spread(tiles.depth, 'whole', 4);
    const along = sum(k, coordinate(1, tiles.depth));
    const bounds = {
      from: constant(0),
      to: constant(tiles.depth),
      step,
      range: { low: 0, high: tiles.depth - step },
      multipleOf: step,
    };
    return [
      define(shared('lefts', 'f32', [spread(tiles.rows, 'whole'), deep]), left(0, along)),
      rightOrder === 'kn'
        ? define(
            shared('rights', 'f32', [spread(tiles.depth, 'whole'), spread(tiles.columns, 'whole', 4)]),
            right(1, sum(k, coordinate(0, tiles.depth))),
          )
        : define(shared('rights', 'f32', [spread(tiles.columns, 'whole'), deep]), right(0, along)),
      loop('kk', bounds, (kk) => [
        define(
          register('left', 'f32', [layout.rows, spread(step, 'whole', 4)]),
          element('lefts', 'f32', [coordinate(0, tiles.rows), sum(kk, coordinate(1, step))]),
        ),
        rightOrder === 'kn'
          ? define(
              register('right', 'f32', [spread(step, 'whole'), layout.columns]),
              element('rights', 'f32', [sum(kk, coordinate(0, step)), coordinate(1, tiles.columns)]),
            )
          : define(
              register('right', 'f32', [layout.columns, spread(step, 'whole', 4)]),
              element('rights', 'f32', [coordinate(0, tiles.columns), sum(kk, coordinate(1, step))]),
            ),
        multiplyAccumulate('sum', 'left', 'right', rightOrder),
      ]),
    ];
  },
};
