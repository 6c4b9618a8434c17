/**
 * Contractions by matrix units: a workgroup's warps share a tile of the result, each accumulating a part of
 * it in registers as its units have it, while blocks of both factors are brought ahead through shared memory.
 * The results go to memory through shared memory too, in the place of the factors, so that neighbours are
 * finished and stored together; but where an engine brings the factors, which it does ahead of the next tile
 * while these are stored, each invocation finishes what it has, and an engine may store it.
 */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import { greatestCommonDivisor } from '../../../dsl/types/size.ts';
import type { Scalar } from '../../graph/graph.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { type Packed, type PackedPair, packedFacts } from '../packed.ts';
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
import type { Box, Feed, TileStatement } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { KernelParts, ScheduleContext } from './context.ts';
import type { ContractionProblem, Ending, Results } from './contraction.ts';
import { contractionRows } from './contraction-rows.ts';
import type { EightBitProduct } from './eight-bit-product.ts';
import { ofExpert } from './grouped-rows.ts';
import { addedUp, type RowBlock, rowBlocks, type StepScales } from './promoted-sums.ts';
import { factorBox, resultBox, type TileStart } from './unit-boxes.ts';
import { factorBytes } from './unit-factors.ts';
import { type TilePlace, walkTiles } from './unit-walk.ts';

/** Words between rows of results, so that the lanes of a warp put theirs into different banks. */
export const resultPadding = 8;

/** Vectors that an invocation finishes before it goes on to the next ones: a power of two. */
const mostVectors = 4;

/** What units multiply of a product. */
export interface Multiplied {
  /** Of factors that are packed. */
  readonly problem: ContractionProblem;
  readonly packed: PackedPair;
  /** Where sums are added up, multiplied with what varies less: by the problem that has it in its factors. */
  readonly promoted?: Promoted;
}

interface Promoted {
  readonly problem: ContractionProblem;
  readonly eights: EightBitProduct;
}

/** Rows of a warp whose sums of a step are in registers. */
export const stepRows = 16;

/** @param ending what is done with the results, in registers as units have them, where they are not stored */
export function unitContraction(
  multiplied: Multiplied,
  choice: ChoiceOf<'units'>,
  context: ScheduleContext,
  ending?: Ending,
): ScheduledStep {
  const { node } = multiplied.problem;
  const name = `${node.grouped === undefined ? 'contract' : 'grouped'}_${node.result.name}`;
  return context.kernel({ name, ...partsOf(multiplied, choice, context, { products: 1, ending }) });
}

/** What is brought of a factor. */
interface FedTile {
  readonly extent: number;
  readonly isDeepFirst: boolean;
  readonly stored: Packed;
  readonly box: Box | undefined;
}

interface Made {
  /** How many such products a workgroup has room for. */
  readonly products: 1 | 2;
  readonly ending?: Ending | undefined;
}

function partsOf(
  given: Multiplied,
  choice: ChoiceOf<'units'>,
  context: ScheduleContext,
  { products, ending }: Made,
): Omit<KernelParts, 'name'> {
  const { problem, packed: stored, promoted } = given;
  const { node, contraction, columns, reduced, leftOrder, rightOrder } = problem;
  const elementBytes = factorBytes({ packed: stored });
  const { warpRows, warpColumns, depth, stages } = choice;
  const tile = { rows: warpRows * choice.rows, columns: warpColumns * choice.columns };
  const wide = Math.ceil(columns.extent / tile.columns);
  const rank = node.result.shape.length;
  const total = rank + node.reduce.extents.length;
  const { tensors, device } = context;
  const { workgroupBytes, processors, warpgroups } = device.units!;
  // Of four rows of warps, warpgroups may make one product.
  const areGroups = warpColumns === 1 && warpRows % 4 === 0;
  const { right } = contractionRows(problem, tile.rows);
  const boxes = {
    lefts: factorBox(
      problem,
      'rows',
      contraction.left,
      stored.left,
      { isDeepFirst: leftOrder === 'km', depth },
      context,
    ),
    rights: factorBox(
      problem,
      'columns',
      right,
      stored.right,
      { isDeepFirst: rightOrder === 'kn', depth },
      context,
    ),
    results:
      fedBytes(choice, { elementBytes, products, leave: true }) <= workgroupBytes
        ? resultBox(problem)
        : undefined,
  };
  // Rows that are looked up are gathered beside the engine.
  const { left } = contraction;
  const isGathered =
    node.grouped !== undefined && left.op === 'load' && left.dtype === packedFacts[stored.left].stored;
  const isFed =
    areGroups &&
    warpgroups &&
    boxes.rights !== undefined &&
    (boxes.lefts !== undefined ||
      (isGathered && leavingRows(choice, { elementBytes, products }) <= workgroupBytes));
  // Results of 16 bits that are no box and no rows that leave are best stored by those who exchange them.
  const isOwn =
    isFed && (boxes.results !== undefined || isGathered || dtypeFacts[node.result.dtype].bits === 32);
  // Sums of steps take registers beside all sums: they are of some rows at a time.
  const count = promoted === undefined ? 1 : choice.rows / stepRows;
  const together = tile.rows / count;
  const blocks = rowBlocks(count, together);
  const axes = [
    spread(together, 'unitRows', areGroups ? 16 : choice.rows),
    spread(tile.columns, 'unitColumns', choice.columns),
  ] as const;

  function statements(place: TilePlace): readonly TileStatement[] {
    const source = contractionRows(problem, tile.rows, { place: place.row, settles: true });
    const at = (row: TileExpression, column: TileExpression, along: TileExpression, of = problem) => [
      ...iteratorsAt(
        total,
        [
          [of.batch, place.batch],
          [of.rows, row],
          [of.columns, column],
          [of.reduced, along],
        ],
        constant(0),
      ),
      ...source.extra,
    ];
    const columnAt = (within: TileExpression) => sum(product(place.column, constant(tile.columns)), within);
    const rowAt = ({ first }: RowBlock, within: TileExpression) => source.flat(sum(within, constant(first)));
    const start = (k: TileExpression, block = blocks[0]!): TileStart => ({
      ...{ batch: place.batch, reduced: k, expert: source.extra[0] },
      ...{ rows: rowAt(block, constant(0)), columns: columnAt(constant(0)) },
    });

    /** A factor whose tile has the reduced axis first or last. */
    const feed = (
      name: string,
      { extent, isDeepFirst, stored: own, box }: FedTile,
      value: (within: TileExpression, along: TileExpression) => TileExpression,
      k: TileExpression,
    ): Feed => {
      const whole = [spread(extent, 'whole'), spread(depth, 'whole')];
      const places = whole.map((axis, at) => coordinate(isDeepFirst ? 1 - at : at, axis.extent));
      const along = sum(k, places[1]!);
      return {
        tile: packed(name, own, isDeepFirst ? whole.toReversed() : whole),
        value: masked(below(along, constant(reduced.extent)), value(places[0]!, along), constant(0, 'f32')),
        ...(box && { box }),
      };
    };
    const feeds = (k: TileExpression): readonly Feed[] => {
      const shared = boxes.rights?.(start(k));
      return [
        ...blocks.map((block) =>
          feed(
            block.lefts,
            {
              ...{ extent: together, isDeepFirst: leftOrder === 'km', stored: stored.left },
              box: boxes.lefts?.(start(k, block)),
            },
            (within, along) =>
              lowerScalar(contraction.left, {
                ...{ tensors, iterators: at(rowAt(block, within), constant(0), along) },
              }),
            k,
          ),
        ),
        feed(
          'rights',
          {
            ...{ extent: tile.columns, isDeepFirst: rightOrder === 'kn', stored: stored.right },
            box: shared && place.beside > 1 ? { ...shared, isCommon: true } : shared,
          },
          (within, along) =>
            lowerScalar(source.right, { tensors, iterators: at(constant(0), columnAt(within), along) }),
          k,
        ),
      ];
    };

    const finished = (value: TileExpression, iterators: readonly TileExpression[]) =>
      node.reduce.finish === undefined
        ? value
        : lowerScalar(node.reduce.finish, { tensors, iterators, reduced: value });

    /** In the registers that the units left them in. */
    const results = (block: RowBlock): Results => {
      const [row, column] = [coordinate(0, together), coordinate(1, tile.columns)];
      const iterators = at(rowAt(block, row), columnAt(column), constant(0));
      return {
        ...{ rows: axes[0], columns: axes[1], iterators, group: place.column, groups: wide },
        value: finished(element(block.sum, 'f32', [row, column]), iterators),
        isRow: source.mask(sum(row, constant(block.first))),
        isColumn: below(columnAt(column), constant(columns.extent)),
      };
    };

    /** Each invocation stores what it has. */
    const storingOwn = (
      { iterators, value, isRow, isColumn }: Results,
      block: RowBlock,
    ): readonly TileStatement[] => [
      store(
        node.result,
        axes,
        flatten(iterators.slice(0, rank), node.result.shape),
        value,
        both(isRow, isColumn),
        boxes.results?.(start(constant(0), block)),
      ),
    ];

    /** All invocations finish neighbours of the results, which they exchange, some vectors at a time. */
    const storingTogether = (block: RowBlock): readonly TileStatement[] => {
      const all = together * tile.columns;
      const atOnce = greatestCommonDivisor(all, 32 * warpRows * warpColumns * 4 * mostVectors);
      const name = `results${block.suffix}`;
      const bounds = {
        ...{ from: constant(0), to: constant(all), step: atOnce, multipleOf: atOnce },
        range: { low: 0, high: all - atOnce },
      };
      const exchanged = define(
        { ...shared(name, 'f32', axes), padding: resultPadding },
        element(block.sum, 'f32', [coordinate(0, together), coordinate(1, tile.columns)]),
      );
      const finishing = loop(`part${block.suffix}`, bounds, (part) => {
        const flat = sum(part, coordinate(0, atOnce));
        const [row, column] = [quotient(flat, tile.columns), remainder(flat, tile.columns)];
        const iterators = at(rowAt(block, row), columnAt(column), constant(0));
        return [
          store(
            node.result,
            [spread(atOnce, 'threads', 4)],
            flatten(iterators.slice(0, rank), node.result.shape),
            finished(element(name, 'f32', [row, column]), iterators),
            both(
              source.mask(sum(row, constant(block.first))),
              below(columnAt(column), constant(columns.extent)),
            ),
          ),
        ];
      });
      return [exchanged, finishing];
    };
    const end = ending ?? (isOwn ? storingOwn : undefined);

    /** What sums of a step are multiplied with. */
    const scales = ({ eights, problem: of }: Promoted, k: TileExpression): StepScales => {
      const lowered = (scalar: Scalar, iterators: readonly TileExpression[]) =>
        lowerScalar(scalar, { tensors, iterators });
      const ofRow = eights.left;
      const ofColumn =
        eights.right && (node.grouped ? ofExpert(eights.right, node.grouped, total) : eights.right);
      const column = columnAt(coordinate(0, tile.columns));
      return {
        ofRows: (block) =>
          ofRow && lowered(ofRow, at(rowAt(block, coordinate(0, together)), constant(0), k, of)),
        ofColumns: ofColumn && lowered(ofColumn, at(constant(0), column, k, of)),
      };
    };
    const last = Math.floor(Math.max(0, reduced.extent - 1) / depth) * depth;
    return [
      ...source.prepare,
      ...blocks.map(({ sum: name }) => define(register(name, 'f32', axes), constant(0, 'f32'))),
      pipeline(
        'k',
        {
          ...{ from: constant(0), to: source.depth, step: depth, stages },
          ...{ range: { low: 0, high: last }, multipleOf: depth },
        },
        (k) => ({
          feeds: feeds(k),
          body:
            promoted === undefined
              ? [multiplyAccumulate('sum', 'lefts', 'rights', rightOrder, leftOrder)]
              : addedUp(blocks, axes, scales(promoted, k), rightOrder, leftOrder),
        }),
      ),
      ...blocks.flatMap((block) => (end === undefined ? storingTogether(block) : end(results(block), block))),
    ];
  }

  // Two warpgroups and more have all registers of a processor.
  const isAlone =
    (isOwn || ending !== undefined) &&
    isFed &&
    (warpRows > 4 ||
      2 * fedBytes(choice, { elementBytes, products, leave: boxes.results !== undefined }) > workgroupBytes);
  const isRowOfTiles = problem.rows.extent <= tile.rows;
  const beside = isOwn
    ? narrowed(choice, elementBytes, workgroupBytes)
    : isRowOfTiles && 2 * sumsOf(choice) <= mostSums / 2
      ? shortened(choice, elementBytes, workgroupBytes)
      : undefined;
  return {
    ...walkTiles(problem, { ...tile, cluster: choice.cluster }, isAlone ? processors : undefined, statements),
    threads: { rows: warpRows, columns: 32 * warpColumns },
    // Of a row of tiles it takes as long to read the other factor, whoever brings it.
    isAlone: isFed && !isRowOfTiles,
    ...(beside !== undefined &&
      products === 1 &&
      promoted === undefined &&
      ending === undefined && { beside: () => partsOf(given, beside, context, { products: 2 }) }),
  };
}

/** Sums of an invocation. */
const mostSums = 128;

function sumsOf({ rows, columns }: ChoiceOf<'units'>): number {
  return (rows * columns) / 32;
}

/** With as many bytes under way where each stage has the right factors of two products, if there is room. */
function shortened(
  choice: ChoiceOf<'units'>,
  elementBytes: number,
  workgroupBytes: number,
): ChoiceOf<'units'> {
  const bytes = (products: number) =>
    fedBytes({ ...choice, stages: 1 }, { elementBytes, products, leave: false });
  const ahead = Math.round(((choice.stages - 1) * bytes(1)) / bytes(2));
  const stages = Math.min(ahead + 1, Math.floor(workgroupBytes / bytes(2)));
  return { ...choice, stages: Math.max(2, stages) };
}

/** With room for the sums and the right factors of two products. */
function narrowed(
  choice: ChoiceOf<'units'>,
  elementBytes: number,
  workgroupBytes: number,
): ChoiceOf<'units'> {
  const columns = 2 * sumsOf(choice) > mostSums ? halved(choice.columns) : choice.columns;
  const half = { ...choice, columns };
  const stages = [4, 3, 2].find(
    (each) =>
      fedBytes({ ...half, stages: each }, { elementBytes, products: 2, leave: true }) <= workgroupBytes,
  );
  return { ...half, stages: stages ?? 2 };
}

/** As many as boxes of results have, where there are more. */
function halved(columns: number): number {
  const half = columns / 2;
  return half > 64 ? half - (half % 64) : half;
}

/** What is fed to units: elements of so many bytes. */
interface Fed {
  readonly elementBytes: number;
  readonly products: number;
  readonly leave: boolean;
}

/**
 * Of workgroup memory: the stages of the factors of some products of the same rows, and, where they leave
 * through it, results of 16 bits.
 */
export function fedBytes(
  { warpRows, warpColumns, rows, columns, depth, stages }: Omit<ChoiceOf<'units'>, 'form'>,
  { elementBytes, products, leave }: Fed,
): number {
  const [high, wide] = [warpRows * rows, warpColumns * columns];
  const factors = elementBytes * stages * depth * (high + products * wide);
  return factors + (leave ? 2 * high * wide : 0) + barrierBytes;
}

/** The same where results leave row by row: sixteen rows of 64 columns of each warp at a time. */
function leavingRows(choice: ChoiceOf<'units'>, fed: Omit<Fed, 'leave'>): number {
  return fedBytes(choice, { ...fed, leave: false }) + 2 * 16 * 64 * choice.warpRows;
}

/** What meeting takes at most. */
const barrierBytes = 1024;
