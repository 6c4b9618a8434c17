/**
 * Contractions by matrix units: a workgroup's warps share a tile of the result, each accumulating a part of
 * it in registers as its units have it, while blocks of both factors are brought ahead through shared memory.
 * The results go to memory through shared memory too, in the place of the factors, so that neighbours are
 * finished and stored together; but where an engine brings the factors, which it does ahead of the next tile
 * while these are stored, each invocation finishes what it has, and an engine may store it.
 */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { ChoiceOf } from '../choices/choice.ts';
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
  masked,
  product,
  quotient,
  remainder,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { Feed, Packed, TileStatement } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { KernelParts, ScheduleContext } from './context.ts';
import type { ContractionProblem, Ending, Results } from './contraction.ts';
import { contractionRows } from './contraction-rows.ts';
import { factorBox, resultBox, type TileStart } from './unit-boxes.ts';
import { type TilePlace, walkTiles } from './unit-walk.ts';

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
  const { node } = problem;
  const name = `${node.grouped === undefined ? 'contract' : 'grouped'}_${node.result.name}`;
  return context.kernel({ name, ...partsOf(problem, stored, choice, context, { products: 1, ending }) });
}

interface Made {
  /** How many such products a workgroup has room for. */
  readonly products: 1 | 2;
  readonly ending?: Ending | undefined;
}

function partsOf(
  problem: ContractionProblem,
  stored: Packed,
  choice: ChoiceOf<'units'>,
  context: ScheduleContext,
  { products, ending }: Made,
): Omit<KernelParts, 'name'> {
  const { node, contraction, batch, rows, columns, reduced, rightOrder } = problem;
  const { warpRows, warpColumns, depth, stages } = choice;
  const tile = { rows: warpRows * choice.rows, columns: warpColumns * choice.columns };
  const wide = Math.ceil(columns.extent / tile.columns);
  const rank = node.result.shape.length;
  const total = rank + node.reduce.extents.length;
  const { tensors, device } = context;
  const { workgroupBytes, processors, warpgroups } = device.units!;
  const leftOrder = leftOrderOf(problem, context);
  // Of four rows of warps, warpgroups may make one product.
  const areGroups = warpColumns === 1 && warpRows % 4 === 0;
  const { right } = contractionRows(problem, tile.rows);
  const boxes = {
    lefts: factorBox(
      problem,
      'rows',
      contraction.left,
      stored,
      { isDeepFirst: leftOrder === 'km', depth },
      context,
    ),
    rights: factorBox(
      problem,
      'columns',
      right,
      stored,
      { isDeepFirst: rightOrder === 'kn', depth },
      context,
    ),
    results: fedBytes(choice, { products, leave: true }) <= workgroupBytes ? resultBox(problem) : undefined,
  };
  // Rows that are looked up are gathered beside the engine.
  const { left } = contraction;
  const isGathered = node.grouped !== undefined && left.op === 'load' && left.dtype === stored;
  const isFed =
    areGroups &&
    warpgroups &&
    boxes.rights !== undefined &&
    (boxes.lefts !== undefined || (isGathered && leavingRows(choice, products) <= workgroupBytes));
  // Results of 16 bits that are no box and no rows that leave are best stored by those who exchange them.
  const isOwn =
    isFed && (boxes.results !== undefined || isGathered || dtypeFacts[node.result.dtype].bits === 32);
  const axes = [
    spread(tile.rows, 'unitRows', areGroups ? 16 : choice.rows),
    spread(tile.columns, 'unitColumns', choice.columns),
  ] as const;

  function statements(place: TilePlace): readonly TileStatement[] {
    const source = contractionRows(problem, tile.rows, { place: place.row, settles: true });
    const at = (row: TileExpression, column: TileExpression, along: TileExpression) => [
      ...iteratorsAt(
        total,
        [
          [batch, place.batch],
          [rows, row],
          [columns, column],
          [reduced, along],
        ],
        constant(0),
      ),
      ...source.extra,
    ];
    const columnAt = (within: TileExpression) => sum(product(place.column, constant(tile.columns)), within);
    const start = (k: TileExpression): TileStart => ({
      ...{ batch: place.batch, reduced: k, expert: source.extra[0] },
      ...{ rows: source.flat(constant(0)), columns: columnAt(constant(0)) },
    });

    /** A factor whose tile has the reduced axis first or last. */
    const feed = (
      name: 'lefts' | 'rights',
      extent: number,
      isDeepFirst: boolean,
      value: (within: TileExpression, along: TileExpression) => TileExpression,
      k: TileExpression,
    ): Feed => {
      const whole = [spread(extent, 'whole'), spread(depth, 'whole')];
      const places = whole.map((axis, at) => coordinate(isDeepFirst ? 1 - at : at, axis.extent));
      const along = sum(k, places[1]!);
      const own = boxes[name]?.(start(k));
      const box = own && name === 'rights' && place.beside > 1 ? { ...own, isCommon: true } : own;
      return {
        tile: packed(name, stored, isDeepFirst ? whole.toReversed() : whole),
        value: masked(below(along, constant(reduced.extent)), value(places[0]!, along), constant(0, 'f32')),
        ...(box && { box }),
      };
    };
    const feeds = (k: TileExpression): readonly Feed[] => [
      feed(
        ...(['lefts', tile.rows, leftOrder === 'km'] as const),
        (within, along) =>
          lowerScalar(contraction.left, { tensors, iterators: at(source.flat(within), constant(0), along) }),
        k,
      ),
      feed(
        ...(['rights', tile.columns, rightOrder === 'kn'] as const),
        (within, along) =>
          lowerScalar(source.right, { tensors, iterators: at(constant(0), columnAt(within), along) }),
        k,
      ),
    ];

    const finished = (value: TileExpression, iterators: readonly TileExpression[]) =>
      node.reduce.finish === undefined
        ? value
        : lowerScalar(node.reduce.finish, { tensors, iterators, reduced: value });

    /** In the registers that the units left them in. */
    const results = (): Results => {
      const [row, column] = [coordinate(0, tile.rows), coordinate(1, tile.columns)];
      const iterators = at(source.flat(row), columnAt(column), constant(0));
      return {
        ...{ rows: axes[0], columns: axes[1], iterators, group: place.column, groups: wide },
        value: finished(element('sum', 'f32', [row, column]), iterators),
        isRow: source.mask(row),
        isColumn: below(columnAt(column), constant(columns.extent)),
      };
    };

    /** Each invocation stores what it has. */
    const storingOwn: Ending = ({ iterators, value, isRow, isColumn }) => [
      store(
        node.result,
        axes,
        flatten(iterators.slice(0, rank), node.result.shape),
        value,
        both(isRow, isColumn),
        boxes.results?.(start(constant(0))),
      ),
    ];

    /** All invocations finish neighbours of the results, which they exchange, some vectors at a time. */
    const storingTogether = (): readonly TileStatement[] => {
      const count = tile.rows * tile.columns;
      const together = Math.min(count, 32 * warpRows * warpColumns * 4 * mostVectors);
      const bounds = {
        ...{ from: constant(0), to: constant(count), step: together, multipleOf: together },
        range: { low: 0, high: count - together },
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
    };
    const end = ending ?? (isOwn ? storingOwn : undefined);

    const last = Math.floor(Math.max(0, reduced.extent - 1) / depth) * depth;
    return [
      ...source.prepare,
      define(register('sum', 'f32', axes), constant(0, 'f32')),
      pipeline(
        'k',
        {
          ...{ from: constant(0), to: source.depth, step: depth, stages },
          ...{ range: { low: 0, high: last }, multipleOf: depth },
        },
        (k) => ({
          feeds: feeds(k),
          body: [multiplyAccumulate('sum', 'lefts', 'rights', rightOrder, leftOrder)],
        }),
      ),
      ...(end === undefined ? storingTogether() : end(results())),
    ];
  }

  // Two warpgroups and more have all registers of a processor.
  const isAlone =
    (isOwn || ending !== undefined) &&
    isFed &&
    (warpRows > 4 || 2 * fedBytes(choice, { products, leave: boxes.results !== undefined }) > workgroupBytes);
  return {
    ...walkTiles(problem, { ...tile, cluster: choice.cluster }, isAlone ? processors : undefined, statements),
    threads: { rows: warpRows, columns: 32 * warpColumns },
    // Of a row of tiles it takes as long to read the other factor, whoever brings it.
    isAlone: isFed && rows.extent > tile.rows,
    ...(isOwn &&
      products === 1 &&
      ending === undefined && {
        beside: () => partsOf(problem, stored, narrowed(choice, workgroupBytes), context, { products: 2 }),
      }),
  };
}

/** Sums of an invocation. */
const mostSums = 128;

/** With room for the sums and the right factors of two products. */
function narrowed(choice: ChoiceOf<'units'>, workgroupBytes: number): ChoiceOf<'units'> {
  const { rows, columns } = choice;
  const half = { ...choice, columns: (2 * rows * columns) / 32 > mostSums ? columns / 2 : columns };
  const stages = [4, 3, 2].find(
    (each) => fedBytes({ ...half, stages: each }, { products: 2, leave: true }) <= workgroupBytes,
  );
  return { ...half, stages: stages ?? 2 };
}

/**
 * Of workgroup memory: the stages of the factors of some products of the same rows, and, where they leave
 * through it, results of 16 bits.
 */
export function fedBytes(
  { warpRows, warpColumns, rows, columns, depth, stages }: Omit<ChoiceOf<'units'>, 'form'>,
  { products, leave }: { readonly products: number; readonly leave: boolean },
): number {
  const [high, wide] = [warpRows * rows, warpColumns * columns];
  return 2 * (stages * depth * (high + products * wide) + (leave ? high * wide : 0)) + barrierBytes;
}

/** The same where results leave row by row: sixteen rows of 64 columns of each warp at a time. */
function leavingRows(choice: ChoiceOf<'units'>, products: number): number {
  return fedBytes(choice, { products, leave: false }) + 2 * 16 * 64 * choice.warpRows;
}

/** What meeting takes at most. */
const barrierBytes = 1024;

/** Whether neighbours of the left factor in memory lie along what is reduced, or along rows. */
function leftOrderOf({ node, contraction }: ContractionProblem, context: ScheduleContext): 'mk' | 'km' {
  if (node.grouped !== undefined) return 'mk';
  const extents = [...node.result.shape, ...node.reduce.extents];
  const neighbours = (axis: number | undefined) =>
    axis === undefined ? 0 : innermostStrides(contraction.left, extents, axis, context.tensors);
  return neighbours(contraction.rows.at(-1)) > neighbours(contraction.reduced.at(-1)) ? 'km' : 'mk';
}
