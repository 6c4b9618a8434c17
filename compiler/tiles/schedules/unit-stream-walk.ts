/**
 * Which rows and values of a sum over a streamed axis a workgroup has, and of which part of the batch: the
 * order in which workgroups begin.
 */
import { gridEnd } from '../ends.ts';
import { constant, difference, grid, product, sum, type TileExpression } from '../tile-expression.ts';
import type { AxisClass } from './axis-class.ts';
import type { KernelParts } from './context.ts';
import { type Streamed, seesMost } from './visible-bound.ts';

/** What is gone through, and what it is gone through for: the flat axes of the results. */
interface Walked {
  readonly streamed: Streamed;
  readonly batch: AxisClass;
  readonly rows: AxisClass;
  readonly values: AxisClass;
}

/** So many rows and values together are a group. */
interface GroupExtents {
  readonly rows: number;
  readonly values: number;
}

export interface StreamWalk extends Pick<KernelParts, 'grid' | 'gridEnds'> {
  /** Which of the batch, and which groups. */
  readonly batch: TileExpression;
  readonly rows: TileExpression;
  readonly values: TileExpression;
}

/**
 * Where some rows see more than others, those that take longest begin first, so that the last workgroups to
 * begin take least: of as many of the batch at a time as give all processors enough to do. Of more a cache
 * would not have what is streamed.
 */
export function walkStream(
  { streamed, batch, rows, values }: Walked,
  extents: GroupExtents,
  processors: number,
): StreamWalk {
  const groups = {
    rows: Math.ceil(rows.extent / extents.rows),
    values: Math.ceil(values.extent / extents.values),
  };
  const isBounded = [batch, rows, values].some(({ end }) => end !== undefined);
  const most = seesMost(streamed, rows);
  if (isBounded || groups.values > 1 || most === undefined)
    return {
      grid: [batch.extent, groups.rows, groups.values],
      gridEnds: [gridEnd(batch.end, 1), gridEnd(rows.end, extents.rows), gridEnd(values.end, extents.values)],
      ...{ batch: grid(0, batch.extent), rows: grid(1, groups.rows), values: grid(2, groups.values) },
    };
  const beside = besideEachOther(batch.extent, Math.ceil((enough * processors) / groups.rows));
  const several = batch.extent / beside;
  const own = grid(1, groups.rows);
  return {
    grid: [several, groups.rows, beside],
    batch: sum(product(grid(0, several), constant(beside)), grid(2, beside)),
    rows: most === 'first' ? own : difference(constant(groups.rows - 1), own),
    values: constant(0),
  };
}

/** Workgroups for each processor, of which the longest then take no longer than the others together. */
const enough = 1.5;

/** The least part of the batch that is at least as large as wanted, and of which there are whole ones. */
function besideEachOther(batch: number, wanted: number): number {
  for (let beside = Math.max(1, wanted); beside < batch; beside++) if (batch % beside === 0) return beside;
  return batch;
}
