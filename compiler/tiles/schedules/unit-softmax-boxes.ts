/** Queries, keys and values of a softmax-weighted sum as boxes of tensors, which an engine can copy. */
import { constant, type TileExpression, unflatten } from '../tile-expression.ts';
import type { Box } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { SoftmaxProblem } from './softmax-problem.ts';
import { boxOf, type Side, side } from './unit-boxes.ts';
import type { UnitSoftmax } from './unit-softmax-factors.ts';
import type { StreamWalk } from './unit-stream-walk.ts';

export interface SoftmaxBoxes {
  /** Undefined where rows do not lie beside each other, as those of heads that share keys do not. */
  readonly queries: Box | undefined;
  /** Of the block that begins at a position of the streamed axis. */
  readonly stream: (start: TileExpression) => { readonly keys: Box; readonly values: Box };
}

/**
 * Undefined where keys or values are none, or something ends in a run.
 * @param starts the first of the workgroup's rows and values
 */
export function softmaxBoxes(
  { node, batch, rows, values, depth }: SoftmaxProblem,
  units: UnitSoftmax,
  walk: StreamWalk,
  starts: { readonly rows: TileExpression; readonly values: TileExpression },
  context: ScheduleContext,
): SoftmaxBoxes | undefined {
  if ([node.end, batch.end, rows.end, values.end].some((end) => end !== undefined)) return undefined;
  const none = constant(0);
  const along = unflatten(walk.batch, batch.parts);
  const several = batch.parts.map((extent, at) => side(`batch${at}`, extent, along[at]!));
  const row = side('row', rows.extent, starts.rows);
  const value = side('value', values.extent, starts.values);
  const deep = side('depth', depth, none);
  /** What the node's expressions are indexed with, at a position of the streamed axis. */
  const iterators = (u: TileExpression) => {
    const outputs = [
      ...iteratorsAt(
        node.result.shape.length,
        [
          [rows, row.place],
          [values, value.place],
        ],
        none,
      ),
    ];
    const ofBatch = batch.ofParts(several.map(({ place }) => place));
    for (const [at, axis] of batch.axes.entries()) outputs[axis] = ofBatch[at]!;
    return [...outputs, u, deep.place];
  };
  const of = (factor: UnitSoftmax['ofRow'], stored: UnitSoftmax['scores'], inner: Side, outer: Side) =>
    boxOf(factor, stored, iterators(outer.place), [inner, outer, ...several], context);
  const keys = (u: Side) => of(units.ofStream, units.scores, deep, u);
  const valuesOf = (u: Side) => of(node.value, units.values, value, u);
  const streamed = (start: TileExpression) => side('u', node.extent, start);
  if (keys(streamed(none)) === undefined || valuesOf(streamed(none)) === undefined) return undefined;
  return {
    queries: of(units.ofRow, units.scores, deep, row),
    stream: (start) => ({ keys: keys(streamed(start))!, values: valuesOf(streamed(start))! }),
  };
}
