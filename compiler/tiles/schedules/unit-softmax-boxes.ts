/** Queries, keys and values of a softmax-weighted sum as boxes of tensors, which an engine can copy. */
import { constant, quotient, remainder, type TileExpression, unflatten } from '../tile-expression.ts';
import type { Box } from '../tile-program.ts';
import { type AxisClass, iteratorsAt } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { SoftmaxProblem } from './softmax-problem.ts';
import { boxOf, type Side, side } from './unit-boxes.ts';
import type { UnitSoftmax } from './unit-softmax-factors.ts';
import type { StreamWalk } from './unit-stream-walk.ts';

export interface SoftmaxBoxes {
  /** Undefined where rows are no box. */
  readonly queries: Box | undefined;
  /** Of the block that begins at a position of the streamed axis. */
  readonly stream: (start: TileExpression) => { readonly keys: Box; readonly values: Box };
}

/**
 * Undefined where keys or values are none, or something ends in a run.
 * @param starts the first of the workgroup's rows, of which it has `together`, and of its values
 */
export function softmaxBoxes(
  { node, batch, rows, values, depth }: SoftmaxProblem,
  units: UnitSoftmax,
  walk: StreamWalk,
  starts: { readonly rows: TileExpression; readonly together: number; readonly values: TileExpression },
  context: ScheduleContext,
): SoftmaxBoxes | undefined {
  if ([node.end, batch.end, rows.end, values.end].some((end) => end !== undefined)) return undefined;
  const none = constant(0);
  const along = unflatten(walk.batch, batch.parts);
  const several = batch.parts.map((extent, at) => side(`batch${at}`, extent, along[at]!));
  const ofRows = rowSides(rows, starts);
  const value = side('value', values.extent, starts.values);
  const deep = side('depth', depth, none);
  /** What the node's expressions are indexed with, at a position of the streamed axis. */
  const iterators = (u: TileExpression) => {
    const outputs = [...iteratorsAt(node.result.shape.length, [[values, value.place]], none)];
    const row = rows.ofParts(rows.parts.map((_, part) => ofRows?.places[part] ?? none));
    for (const [at, axis] of rows.axes.entries()) outputs[axis] = row[at]!;
    const ofBatch = batch.ofParts(several.map(({ place }) => place));
    for (const [at, axis] of batch.axes.entries()) outputs[axis] = ofBatch[at]!;
    return [...outputs, u, deep.place];
  };
  const of = (
    [factor, stored]: readonly [UnitSoftmax['ofRow'], UnitSoftmax['scores']],
    u: TileExpression,
    own: readonly Side[],
  ) => boxOf(factor, stored, iterators(u), [...own, ...several], context);
  const keys = (u: Side) => of([units.ofStream, units.scores], u.place, [deep, u]);
  const valuesOf = (u: Side) => of([node.value, units.values], u.place, [value, u]);
  const streamed = (start: TileExpression) => side('u', node.extent, start);
  if (keys(streamed(none)) === undefined || valuesOf(streamed(none)) === undefined) return undefined;
  const queries = ofRows && of([units.ofRow, units.scores], none, [deep, ...ofRows.sides]);
  const rowsOfSecond = ofRows?.rowsOfSecond;
  return {
    queries: queries && (rowsOfSecond === undefined ? queries : { ...queries, rowsOfSecond }),
    stream: (start) => ({ keys: keys(streamed(start))!, values: valuesOf(streamed(start))! }),
  };
}

interface RowSides {
  /** The one along which rows follow each other first. */
  readonly sides: readonly Side[];
  /** Of the parts of rows, in their order. */
  readonly places: readonly TileExpression[];
  readonly rowsOfSecond?: number;
}

/**
 * Rows of one part, or of two where those of a workgroup are whole runs of the inner one, as heads that share
 * keys are, or lie in one such run.
 */
function rowSides(
  { parts, extent }: AxisClass,
  { rows, together }: { readonly rows: TileExpression; readonly together: number },
): RowSides | undefined {
  const [outerExtent = 1, innerExtent] = parts;
  if (innerExtent === undefined) {
    const row = side('row', extent, rows);
    return { sides: [row], places: [row.place] };
  }
  const isWhole = together % innerExtent === 0;
  if (parts.length > 2 || !(isWhole || innerExtent % together === 0)) return undefined;
  const inner = side('row', innerExtent, isWhole ? constant(0) : remainder(rows, innerExtent));
  const outer = side('run', outerExtent, quotient(rows, innerExtent));
  const found = { sides: [inner, outer], places: [outer.place, inner.place] };
  return isWhole ? { ...found, rowsOfSecond: innerExtent } : found;
}
