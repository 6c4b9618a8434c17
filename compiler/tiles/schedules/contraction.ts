/**
 * Contractions: a tile of the result is accumulated in registers, `into[m, n] += left[m, k] · right[k, n]`,
 * over blocks of the reduced axes. Both factors are whole expressions (a prologue costs no kernel), `finish`
 * is the epilogue. Two ways to feed the accumulators, chosen by device:
 *   - from registers: each invocation loads its part of both factors itself; where subgroups are of fixed
 *     size the rows of `left` are dealt out to the lanes and broadcast. No workgroup memory, no barriers:
 *     best on a software adapter;
 *   - staged: all invocations together bring blocks of both factors into workgroup memory.
 *
 * A grouped contraction takes its rows from the order that `route` made: a workgroup has rows of one expert,
 * found from the offsets, and reads that expert's weights alone.
 */
import type { GroupedLookup, Scalar } from '../../graph/graph.ts';
import { iterator, mapScalar } from '../../graph/scalar.ts';
import type { Contraction } from '../../optimize/contraction.ts';
import { assumingWithin, endExpression, endsOf, type GridEnd, gridEnd } from '../ends.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { innermostStrides } from '../merge-axes.ts';
import type { ScheduledStep } from '../scheduled.ts';
import {
  define,
  loop,
  multiplyAccumulate,
  register,
  shared,
  spread,
  store,
  update,
  whole,
} from '../tile-builder.ts';
import {
  apply,
  below,
  both,
  constant,
  coordinate,
  difference,
  element,
  flatten,
  grid,
  load,
  masked,
  product,
  quotient,
  sum,
  type TileExpression,
  within,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';
import { type AxisClass, axisClass, iteratorsAt } from './axis-class.ts';
import { elementCount, type ScheduleContext } from './context.ts';
import { sharesWords, widened } from './narrow-result.ts';
import { panelsOf } from './panels.ts';
import { type ReductionNode, scheduleReduction } from './reduction.ts';
import { isThin, thinKernel } from './thin-contraction.ts';

export function scheduleContraction(
  node: ReductionNode,
  contraction: Contraction,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  if (elementCount(node.result) === 0) return [];
  const problem = analyse(node, contraction, context);
  const thin = isThin(problem);
  if (!thin && !isWorthTiling(problem, context)) return scheduleReduction(node, context);
  if (sharesWords(node.result) && !ownsWords(problem)) {
    return widened(node.result, context, (wide) =>
      scheduleContraction({ ...node, result: wide }, contraction, context),
    );
  }
  if (thin) return [context.kernel(thinKernel(problem, context))];
  return contractionSteps(problem, chooseTiles(problem, context), context);
}

// ── the problem ────────────────────────────────────────────────────────────────────────────────────────────

export interface Problem {
  readonly node: ReductionNode;
  readonly contraction: Contraction;
  readonly batch: AxisClass;
  readonly rows: AxisClass;
  readonly columns: AxisClass;
  readonly reduced: AxisClass;
  /** Whether neighbours of `right` in memory lie along columns (`kn`) or along the reduced axis (`nk`). */
  readonly rightOrder: 'kn' | 'nk';
}

function analyse(node: ReductionNode, contraction: Contraction, context: ScheduleContext): Problem {
  const extents = [...node.result.shape, ...node.reduce.extents];
  const scalars = node.reduce.finish === undefined ? [node.body] : [node.body, node.reduce.finish];
  const ends = endsOf(node);
  const classOf = (axes: readonly number[]) => axisClass(axes, extents, scalars, context, ends);
  const [column, depth] = [contraction.columns.at(-1), contraction.reduced.at(-1)];
  const neighbours = (axis: number | undefined) =>
    axis === undefined ? 0 : innermostStrides(contraction.right, extents, axis, context.tensors);
  return {
    node,
    contraction,
    batch: classOf(contraction.batch),
    rows: classOf(contraction.rows),
    columns: classOf(contraction.columns),
    reduced: classOf(contraction.reduced),
    rightOrder: neighbours(depth) > neighbours(column) ? 'nk' : 'kn',
  };
}

/** Of few rows there is nothing to share, but four steps at a time are better than one. */
function isWorthTiling(
  { node, rows, columns, reduced, rightOrder }: Problem,
  { device }: ScheduleContext,
): boolean {
  if (node.grouped !== undefined) return reduced.extent > 0 && columns.extent >= 4;
  const isWide = columns.extent >= 4 && reduced.extent >= 4;
  return isWide && (rows.extent >= 4 || (device.software && rightOrder === 'kn' && columns.extent >= 64));
}

/** Whether runs of four results, stored by one invocation, are whole aligned words of the tensor. */
function ownsWords({ node, columns }: Problem): boolean {
  const last = node.result.shape.length - 1;
  return columns.isFlat && columns.axes.at(-1) === last && columns.extent % 4 === 0;
}

// ── tiles ──────────────────────────────────────────────────────────────────────────────────────────────────

interface Tiles {
  readonly staging: 'registers' | 'shared';
  /** Invocations of a workgroup. */
  readonly threadRows: number;
  readonly threadColumns: number;
  /** Extents of a workgroup's tile. */
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/**
 * The block of results that one invocation of a software adapter accumulates: larger ones load less for each
 * multiply-add, but leave fewer invocations and take long to compile.
 */
function softwareBlock(results: number, lanes: number): { readonly rows: number; readonly columns: number } {
  const columns = lanes <= 4 ? 8 : 4;
  if (results >= 2 ** 18) return { rows: 32, columns };
  if (results >= 2 ** 16) return { rows: 16, columns };
  return results >= 2 ** 14 ? { rows: 16, columns: 4 } : { rows: 8, columns: 4 };
}

/**
 * How often a workgroup of a core takes rows of its expert. Few, since an expert's last workgroup is rarely
 * full; but each looks through the experts first, which should be little beside its multiply-adds: a step of
 * the depth takes as long as looking at one.
 */
function groupedRounds({ experts }: GroupedLookup, depth: number): number {
  return 2 ** Math.ceil(Math.log2(Math.min(8, Math.max(1, (20 * experts) / Math.max(1, depth)))));
}

function chooseTiles({ batch, rows, columns, reduced, node }: Problem, { device }: ScheduleContext): Tiles {
  const powerFor = (extent: number, most: number) =>
    Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(1, extent))));
  if (device.core !== undefined) {
    const perThread = powerFor(rows.extent, device.core.rows);
    const most = node.grouped === undefined ? 16 : groupedRounds(node.grouped, reduced.extent);
    const threadRows = powerFor(rows.extent / perThread, most);
    return {
      staging: 'registers',
      threadRows,
      threadColumns: 1,
      rows: threadRows * perThread,
      columns: device.core.columns,
      depth: 4,
    };
  }
  if (device.software) {
    const lanes = device.subgroupSize ?? 1;
    const block = softwareBlock(batch.extent * rows.extent * columns.extent, lanes);
    const most = node.grouped === undefined ? block.rows : Math.min(16, block.rows);
    const perColumn = columns.extent >= 64 ? block.columns : 4;
    const threadColumns = Math.max(lanes, powerFor(columns.extent / perColumn, 16));
    return {
      staging: 'registers',
      threadRows: 1,
      threadColumns,
      rows: rows.extent < lanes ? rows.extent : powerFor(rows.extent, most),
      columns: threadColumns * perColumn,
      depth: 4,
    };
  }
  const threadColumns = powerFor(columns.extent / 4, 16);
  const threadRows = powerFor(
    rows.extent / 4,
    Math.min(16, device.maxInvocationsPerWorkgroup / threadColumns),
  );
  return {
    staging: 'shared',
    threadRows,
    threadColumns,
    rows: threadRows * 4,
    columns: threadColumns * 4,
    depth: 16,
  };
}

// ── the kernel ─────────────────────────────────────────────────────────────────────────────────────────────

/** Where a workgroup's rows come from. */
interface Rows {
  readonly grid: number;
  readonly gridEnd: GridEnd | undefined;
  readonly prepare: readonly TileStatement[];
  /** The flat row for each row of the tile. */
  readonly flat: (axis: number) => TileExpression;
  readonly mask: (axis: number) => TileExpression | undefined;
  /** How far the reduced axes go: nothing is done for a workgroup without rows. */
  readonly depth: TileExpression;
  readonly right: Scalar;
  /** Iterators beyond the node's own that `right` uses. */
  readonly extra: readonly TileExpression[];
}

function contractionSteps(
  problem: Problem,
  chosen: Tiles,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { node, contraction, batch, rows, columns, reduced } = problem;
  const rank = node.result.shape.length;
  const total = rank + node.reduce.extents.length;
  const source =
    node.grouped === undefined
      ? plainRows(problem, chosen)
      : groupedRows(problem, chosen, node.grouped, total, context);
  const groups = Math.ceil(columns.extent / chosen.columns);
  const column = (axis: number) =>
    sum(product(grid(2, groups), constant(chosen.columns)), coordinate(axis, chosen.columns));
  const at = (
    row: TileExpression,
    col: TileExpression,
    depth: TileExpression,
    ofBatch = grid(0, batch.extent),
    extra = source.extra,
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
    ...extra,
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
      lowered(inLoop(contraction.left), at(source.flat(rowAxis), constant(0), depth)),
      zero,
    );
  const panels = panelsOf(
    {
      name: node.result.name,
      batches: node.grouped?.experts ?? batch.extent,
      columns: columns.extent,
      depth: reduced.extent,
      ends: {
        batches: node.grouped === undefined ? batch.end : undefined,
        columns: columns.end,
        depth: reduced.end,
      },
      width: chosen.columns,
      hasVectors: hasVectors(problem, context),
      value: (ofBatch, col, depth) =>
        lowered(
          source.right,
          node.grouped === undefined
            ? at(constant(0), col, depth, ofBatch)
            : at(constant(0), col, depth, constant(0), [ofBatch]),
        ),
    },
    rows.extent / (node.grouped?.experts ?? 1),
    context,
  );
  const rightAt = (columnAxis: number, depth: TileExpression) =>
    panels === undefined
      ? lowered(inLoop(source.right), at(constant(0), column(columnAxis), depth))
      : panels.element(
          source.extra[0] ?? grid(0, batch.extent),
          grid(2, groups),
          depth,
          coordinate(columnAxis, chosen.columns),
        );
  const right = (columnAxis: number, depth: TileExpression) =>
    masked(isReal(depth), rightAt(columnAxis, depth), zero);
  const fed = panels === undefined ? problem : { ...problem, rightOrder: 'kn' as const };
  const tiles = { ...chosen, depth: depthOf(chosen, fed, context) };

  const layout = layoutOf(tiles, context);
  const value = element('sum', 'f32', [coordinate(0, tiles.rows), coordinate(1, tiles.columns)]);
  const outputs = at(source.flat(0), column(1), constant(0));
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
      store(
        node.result,
        [layout.rows, layout.columns],
        flatten(outputs.slice(0, rank), node.result.shape),
        finish === undefined ? value : lowered(finish, outputs, value),
        both(source.mask(0), below(column(1), constant(columns.extent))),
      ),
    ],
  });
  return panels === undefined ? [kernel] : [panels.pack, kernel];
}

/** Whether four neighbours of the right factor are a vector of f32 in memory. */
function hasVectors({ contraction, columns, rightOrder }: Problem, { tensors }: ScheduleContext): boolean {
  const { right } = contraction;
  return (
    rightOrder === 'kn' && columns.isFlat && right.op === 'load' && tensors(right.tensor).dtype === 'f32'
  );
}

/**
 * On a core one step at a time: V8 moves all loads of a basic block to its front, and what is loaded for more
 * steps takes the registers that the sums are in. Vectors along the depth are of four steps.
 */
function depthOf({ depth }: Tiles, { rightOrder }: Problem, { device }: ScheduleContext): number {
  return device.core !== undefined && rightOrder === 'kn' ? 1 : depth;
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
  if (device.core !== undefined) {
    const rows = spread(tiles.rows, 'rows', tiles.rows / tiles.threadRows);
    return { rows, columns, dealtRows: rows, deep: spread(tiles.depth, 'whole') };
  }
  if (tiles.staging === 'shared') {
    const rows = spread(tiles.rows, 'rows', 4);
    return { rows, columns, dealtRows: rows, deep: whole(tiles.depth) };
  }
  const rows = spread(tiles.rows, 'whole');
  const lanes = device.subgroupSize;
  const isDealt = lanes !== undefined && tiles.rows % lanes === 0;
  const dealtRows = isDealt ? spread(tiles.rows, 'lanes') : rows;
  return { rows, columns, dealtRows, deep: whole(tiles.depth) };
}

type Factor = (axis: number, depth: TileExpression) => TileExpression;
type Feed = (
  problem: Problem,
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

// ── rows ───────────────────────────────────────────────────────────────────────────────────────────────────

function plainRows({ contraction, rows, reduced }: Problem, tiles: Tiles): Rows {
  const groups = Math.ceil(rows.extent / tiles.rows);
  const flat = (axis: number) =>
    sum(product(grid(1, groups), constant(tiles.rows)), coordinate(axis, tiles.rows));
  return {
    grid: groups,
    gridEnd: gridEnd(rows.end, tiles.rows),
    prepare: [],
    flat,
    mask: (axis) => below(flat(axis), constant(rows.extent)),
    depth: endExpression(reduced.end, reduced.extent),
    right: contraction.right,
    extra: [],
  };
}

/**
 * Experts have whole tiles of rows, counted through in order: workgroup g has tile g of them. There are at
 * most rows / tile + experts.
 */
function groupedRows(
  { contraction, rows, reduced }: Problem,
  tiles: Tiles,
  grouped: GroupedLookup,
  expertAxis: number,
  { device }: ScheduleContext,
): Rows {
  const { experts, offsets, order } = grouped;
  const groups = Math.min(rows.extent, Math.ceil(rows.extent / tiles.rows) + experts);
  const scalarTile = (name: string) => register(name, 'i32', [spread(1, 'whole')]);
  const read = (name: string) => element(name, 'i32', [constant(0)]);
  const offsetOf = (place: TileExpression) => load(offsets, 'i32', place);
  const group = grid(1, groups);
  const bounds = {
    from: constant(0),
    to: constant(experts),
    step: 1,
    range: { low: 0, high: experts - 1 },
  };
  const prepare: TileStatement[] = [
    define(scalarTile('expert'), constant(0)),
    define(scalarTile('start'), constant(0)),
    define(scalarTile('end'), constant(0)),
    define(scalarTile('tiles'), constant(0)),
    loop('e', bounds, (e) => {
      const count = difference(offsetOf(sum(e, constant(1))), offsetOf(e));
      const after = sum(read('tiles'), quotient(sum(count, constant(tiles.rows - 1)), tiles.rows));
      const isHere = apply(
        'and',
        'bool',
        apply('le', 'bool', read('tiles'), group),
        apply('lt', 'bool', group, after),
      );
      const begin = sum(offsetOf(e), product(difference(group, read('tiles')), constant(tiles.rows)));
      return [
        update('expert', masked(isHere, e, read('expert'))),
        update('start', masked(isHere, begin, read('start'))),
        update('end', masked(isHere, offsetOf(sum(e, constant(1))), read('end'))),
        update('tiles', after),
      ];
    }),
  ];
  const position = (axis: number) => sum(read('start'), coordinate(axis, tiles.rows));
  const isLookup = (part: Scalar) =>
    part.op === 'load' &&
    part.tensor === grouped.pick &&
    part.subscripts.every(
      (subscript, place) => subscript.op === 'iterator' && subscript.axis === grouped.axes[place],
    );
  const isOwn = (axis: number) => apply('lt', 'bool', position(axis), read('end'));
  const range = { low: 0, high: rows.extent - 1 };
  // Where nothing bounds a read, what bounds its place is known once for all of the reduced axes.
  const bounded = device.core !== undefined;
  return {
    grid: groups,
    gridEnd: gridEnd(rows.end, tiles.rows, experts),
    prepare,
    flat: (axis) =>
      bounded
        ? masked(isOwn(axis), load(order, 'i32', position(axis), range), constant(0))
        : load(order, 'i32', position(axis)),
    mask: isOwn,
    depth: masked(
      apply('lt', 'bool', read('start'), read('end')),
      endExpression(reduced.end, reduced.extent),
      constant(0),
    ),
    right: mapScalar(contraction.right, (part) => (isLookup(part) ? iterator(expertAxis) : part)),
    extra: [bounded ? within(read('expert'), { low: 0, high: experts - 1 }) : read('expert')],
  };
}
