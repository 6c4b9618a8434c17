/**
 * Which tiles of a contraction's results a workgroup has, and the order in which they are gone through.
 * Workgroups that run at the same time should read few rows and few columns, which a cache then has: some
 * rows of tiles are walked along together, column by column. Where a workgroup has a processor to itself,
 * there are as many as there are processors, and each goes on to other tiles: the factors of the next one are
 * brought while results leave ("persistent" kernels).
 */
import { gridEnd } from '../ends.ts';
import { loop } from '../tile-builder.ts';
import {
  constant,
  grid,
  product,
  quotient,
  remainder,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileStatement } from '../tile-program.ts';
import type { KernelParts } from './context.ts';
import type { ContractionProblem } from './contraction.ts';
import { contractionRows } from './contraction-rows.ts';

/** The number of a tile along the batch, and of tiles along the rows and the columns. */
export interface TilePlace {
  readonly batch: TileExpression;
  readonly row: TileExpression;
  readonly column: TileExpression;
  /** How many workgroups beside each other have tiles of the same columns at the same time. */
  readonly beside: number;
}

/** Rows of tiles that are walked along together at most. */
const mostTogether = 8;

/**
 * The grid of a kernel, and what its workgroups do.
 * @param tile how many rows and columns of results it has, and how many workgroups would be a cluster
 * @param processors where each runs one workgroup at a time
 * @param statements those of a tile
 */
export function walkTiles(
  problem: ContractionProblem,
  tile: { readonly rows: number; readonly columns: number; readonly cluster: number },
  processors: number | undefined,
  statements: (place: TilePlace) => readonly TileStatement[],
): Pick<KernelParts, 'grid' | 'gridEnds' | 'cluster' | 'body'> {
  const { node, batch, rows, columns } = problem;
  const rowsOf = contractionRows(problem, tile.rows);
  const [high, wide] = [rowsOf.grid, Math.ceil(columns.extent / tile.columns)];
  const isKnown = rows.end === undefined && columns.end === undefined && batch.end === undefined;
  const isOfExperts = node.grouped !== undefined;
  if (isOfExperts && isKnown && processors !== undefined && high * wide > processors && batch.extent === 1)
    return {
      grid: [processors],
      // Those of an expert after each other; behind the last one there are some without rows.
      body: [
        loop('tile', inTurns(high * wide, processors), (at) =>
          statements({ batch: constant(0), row: quotient(at, wide), column: remainder(at, wide), beside: 1 }),
        ),
      ],
    };
  const isPlain = !isOfExperts && rows.end === undefined && columns.end === undefined;
  if (!isPlain || (processors === undefined && (togetherOf(high) === 1 || wide === 1)))
    return {
      grid: [batch.extent, high, wide],
      gridEnds: [gridEnd(batch.end, 1), rowsOf.gridEnd, gridEnd(columns.end, tile.columns)],
      body: statements({
        batch: grid(0, batch.extent),
        row: grid(1, high),
        column: grid(2, wide),
        beside: 1,
      }),
    };
  const each = high * wide;
  const total = batch.extent * each;
  // Tiles that are walked along together are of the same columns.
  const divides = [processors ?? 1, togetherOf(high)].every((count) => count % tile.cluster === 0);
  const beside = divides ? tile.cluster : 1;
  const cluster = beside > 1 ? { cluster: beside } : {};
  if (processors === undefined || batch.end !== undefined || total <= processors)
    return {
      grid: [batch.extent, each],
      gridEnds: [gridEnd(batch.end, 1), undefined],
      ...cluster,
      body: statements({ batch: grid(0, batch.extent), ...inBands(grid(1, each), high, wide), beside }),
    };
  return {
    grid: [processors],
    ...cluster,
    body: [
      loop('tile', inTurns(total, processors), (at) =>
        statements({ batch: quotient(at, each), ...inBands(remainder(at, each), high, wide), beside }),
      ),
    ],
  };
}

/** A workgroup has every so many of all tiles. */
function inTurns(total: number, processors: number) {
  return {
    ...{ from: grid(0, processors), to: constant(total), step: processors },
    range: { low: 0, high: total - 1 },
  };
}

function togetherOf(high: number): number {
  for (let rows = Math.min(mostTogether, high); rows > 1; rows--) if (high % rows === 0) return rows;
  return 1;
}

/** @param at which of the tiles of a batch, in the order in which they are walked along */
export function inBands(at: TileExpression, high: number, wide: number): Pick<TilePlace, 'row' | 'column'> {
  const together = togetherOf(high);
  const band = quotient(at, together * wide);
  const within = remainder(at, together * wide);
  return {
    row: sum(product(band, constant(together)), remainder(within, together)),
    column: quotient(within, together),
  };
}
