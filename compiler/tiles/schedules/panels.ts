/**
 * The right factor of a contraction, first copied into panels: all of the reduced axes for as many columns as
 * a block of results has, side by side. What a core then reads is one piece of memory, which stays in its
 * nearest cache while row after row is multiplied with it (Goto and van de Geijn, "Anatomy of
 * high-performance matrix multiplication", 2008). Whatever the factor is computed from, and however its
 * neighbours lie, that is paid once for each element.
 */
import type { Extent } from '../../graph/extent.ts';
import type { Core } from '../device-profile.ts';
import { endExpression, gridEnd } from '../ends.ts';
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
  minimum,
  product,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { ScheduleContext } from './context.ts';

/** Rows that whoever reads a panel reads at a time, at most: what is masked in the value has to be there. */
const readTogether = 16;
/** What has fewer columns is hardly worth a kernel. */
const mostNarrow = 8;
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

/** What is read in panels: of each batch `columns` columns, and as many rows as `depth` says. */
export interface Factor {
  /** Of the kernel that packs it. */
  readonly name: string;
  readonly batches: number;
  readonly columns: number;
  readonly depth: number;
  /** Where these end in a run. What is behind the end of the depth is read up to a few rows, and is zero. */
  readonly ends: {
    readonly batches?: Extent | undefined;
    readonly columns?: Extent | undefined;
    readonly depth?: Extent | undefined;
  };
  /** Columns of a panel. */
  readonly width: number;
  readonly value: (batch: TileExpression, column: TileExpression, depth: TileExpression) => TileExpression;
}

/** Whether there may be panels of a factor. */
export function canPanel(
  { batches, columns, depth, width }: Pick<Factor, 'batches' | 'columns' | 'depth' | 'width'>,
  core: Core | undefined,
): boolean {
  if (core === undefined || columns <= mostNarrow) return false;
  return batches * Math.ceil(columns / width) * depth * width <= mostElements;
}

export function panelsOf(
  { name, batches, columns, depth, ends, width, value }: Factor,
  { temporary, kernel }: Pick<ScheduleContext, 'temporary' | 'kernel'>,
): Panels {
  const count = Math.ceil(columns / width);
  const shape = [batches, count, depth, width];
  const panels = temporary(`${name}_panels`, { dtype: 'f32', shape });
  const [batch, panel, within] = [grid(0, batches), grid(1, count), coordinate(0, width)];
  const column = sum(product(panel, constant(width)), within);
  const last =
    ends.depth === undefined
      ? constant(depth)
      : minimum(constant(depth), sum(endExpression(ends.depth, depth), constant(readTogether - 1)));
  const bounds = { from: constant(0), to: last, step: 1, range: { low: 0, high: depth - 1 } };
  const pack = kernel({
    name: `pack_${name}`,
    grid: [batches, count],
    gridEnds: [gridEnd(ends.batches, 1), gridEnd(ends.columns, width)],
    threads: { rows: 1, columns: 1 },
    body: [
      loop('k', bounds, (k) => [
        store(
          panels,
          [spread(width, 'whole', 4)],
          flatten([batch, panel, k, within], shape),
          masked(below(column, constant(columns)), value(batch, column, k), constant(0, 'f32')),
        ),
      ]),
    ],
  });
  return {
    pack,
    element: (...place) => load(panels.id, 'f32', flatten(place, shape)),
  };
}
