/**
 * The right factor of a contraction, first copied into panels: all of the reduced axes for as many columns as
 * a block of results has, side by side. What a core then reads is one piece of memory, which stays in its
 * nearest cache while row after row is multiplied with it (Goto and van de Geijn, "Anatomy of
 * high-performance matrix multiplication", 2008). Whatever the factor is computed from, and however its
 * neighbours lie, that is paid once for each element.
 */
import type { ScheduledStep } from '../scheduled.ts';
import { loop, spread, store } from '../tile-builder.ts';
import {
  below,
  constant,
  coordinate,
  flatten,
  grid,
  load,
  masked,
  product,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { ScheduleContext } from './context.ts';
import type { Problem } from './contraction.ts';

/** Rows that an element of a panel is to be multiplied with at least, or copying takes longer than it saves. */
const fewestRows = 16;
/** Offsets are i32. */
const mostElements = 2 ** 31 - 1;

export interface Panels {
  readonly pack: ScheduledStep;
  /** The factor at column `within` of a panel. */
  readonly element: (
    batch: TileExpression,
    panel: TileExpression,
    depth: TileExpression,
    within: TileExpression,
  ) => TileExpression;
}

/**
 * Undefined where it does not pay.
 * @param right the factor of a batch, or in a grouped contraction of an expert
 */
export function panelsOf(
  { node, batch, rows, columns, reduced }: Problem,
  right: (batch: TileExpression, column: TileExpression, depth: TileExpression) => TileExpression,
  { device: { core }, temporary, kernel }: ScheduleContext,
): Panels | undefined {
  const experts = node.grouped?.experts ?? 1;
  if (core === undefined || rows.extent / experts < fewestRows || columns.extent <= core.columns)
    return undefined;
  const width = core.columns;
  const count = Math.ceil(columns.extent / width);
  const batches = node.grouped === undefined ? batch.extent : experts;
  const shape = [batches, count, reduced.extent, width];
  if (shape.reduce((total, extent) => total * extent, 1) > mostElements) return undefined;
  const panels = temporary(`${node.result.name}_panels`, { dtype: 'f32', shape });
  const [ofBatch, panel, within] = [grid(0, batches), grid(1, count), coordinate(0, width)];
  const column = sum(product(panel, constant(width)), within);
  const isReal = below(column, constant(columns.extent));
  const bounds = { from: constant(0), to: constant(reduced.extent), step: 1 };
  const pack = kernel({
    name: `pack_${node.result.name}`,
    grid: [batches, count],
    threads: { rows: 1, columns: 1 },
    body: [
      loop('k', { ...bounds, range: { low: 0, high: reduced.extent - 1 } }, (k) => [
        store(
          panels,
          [spread(width, 'whole', 4)],
          flatten([ofBatch, panel, k, within], shape),
          masked(isReal, right(ofBatch, column, k), constant(0, 'f32')),
        ),
      ]),
    ],
  });
  return {
    pack,
    element: (...place) => load(panels.id, 'f32', flatten(place, shape)),
  };
}
