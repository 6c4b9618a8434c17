/**
 * Which rows a workgroup of a contraction has. A grouped one takes them from the order that `route` made: a
 * workgroup has rows of one expert, found from the offsets, and reads that expert's weights alone.
 */
import type { GroupedLookup, Scalar } from '../../graph/graph.ts';
import { endExpression, type GridEnd, gridEnd } from '../ends.ts';
import {
  apply,
  below,
  constant,
  grid,
  load,
  masked,
  product,
  sum,
  type TileExpression,
  within,
} from '../tile-expression.ts';
import type { TileStatement } from '../tile-program.ts';
import type { ContractionProblem } from './contraction.ts';
import { groupedRows, ofExpert, settled } from './grouped-rows.ts';

export interface ContractionRows {
  /** Axis 1 of the grid. */
  readonly grid: number;
  readonly gridEnd: GridEnd | undefined;
  readonly prepare: readonly TileStatement[];
  /** The flat row for a row of the tile. */
  readonly flat: (within: TileExpression) => TileExpression;
  readonly mask: (within: TileExpression) => TileExpression | undefined;
  /** How far the reduced axes go: nothing is done for a workgroup without rows. */
  readonly depth: TileExpression;
  readonly right: Scalar;
  /** Iterators beyond the node's own that `right` uses. */
  readonly extra: readonly TileExpression[];
}

interface Where {
  /** Which tile a workgroup has, where that is not its place along axis 1 of the grid. */
  readonly place?: TileExpression | undefined;
  /** Whether what is found out of the rows of experts is kept in registers. */
  readonly settles?: boolean;
}

/** @param together rows of a workgroup */
export function contractionRows(
  problem: ContractionProblem,
  together: number,
  { place, settles = false }: Where = {},
): ContractionRows {
  const { grouped } = problem.node;
  return grouped === undefined
    ? plainRows(problem, together, place)
    : rowsOfExperts(problem, together, grouped, { place, settles });
}

function plainRows(
  { contraction, rows, reduced }: ContractionProblem,
  together: number,
  place?: TileExpression,
): ContractionRows {
  const groups = Math.ceil(rows.extent / together);
  const flat = (within: TileExpression) => sum(product(place ?? grid(1, groups), constant(together)), within);
  return {
    grid: groups,
    gridEnd: gridEnd(rows.end, together),
    prepare: [],
    flat,
    mask: (within) => below(flat(within), constant(rows.extent)),
    depth: endExpression(reduced.end, reduced.extent),
    right: contraction.right,
    extra: [],
  };
}

/** That are looked at together. */
const mostExperts = 8;

/** Of one expert. */
function rowsOfExperts(
  { node, contraction, rows, reduced }: ContractionProblem,
  together: number,
  grouped: GroupedLookup,
  { place, settles = false }: Where,
): ContractionRows {
  const expertAxis = node.result.shape.length + node.reduce.extents.length;
  const found = settles
    ? settled(groupedRows(grouped, rows.extent, together, place, Math.min(mostExperts, grouped.experts)))
    : groupedRows(grouped, rows.extent, together, place);
  const { groups, prepare, expert, start, end } = found;
  const position = (row: TileExpression) => sum(start, row);
  return {
    grid: groups,
    gridEnd: gridEnd(rows.end, together, grouped.experts),
    prepare,
    // Behind the last row there may be anything.
    flat: (row) => within(load(grouped.order, 'i32', position(row)), { low: 0, high: rows.extent - 1 }),
    mask: (row) => apply('lt', 'bool', position(row), end),
    depth: masked(apply('lt', 'bool', start, end), endExpression(reduced.end, reduced.extent), constant(0)),
    right: ofExpert(contraction.right, grouped, expertAxis),
    extra: [expert],
  };
}
