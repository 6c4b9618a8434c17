/**
 * Contractions of a few rows with weights whose neighbours lie along the reduced axis, as when decoding token
 * by token: the weights are read once, and that is the time it takes. Each invocation has all rows and
 * several columns, and shares the reduced axis with its neighbours, so that what they read together is one
 * piece of memory.
 */
import type { ChoiceOf } from '../choices/choice.ts';
import { endExpression, gridEnd } from '../ends.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { define, loop, reduceTiles, register, spread, store, update } from '../tile-builder.ts';
import {
  apply,
  below,
  constant,
  coordinate,
  element,
  flatten,
  grid,
  masked,
  product,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { KernelParts, ScheduleContext } from './context.ts';
import type { ContractionProblem } from './contraction.ts';
import { sharedRun } from './shared-run.ts';

interface Layout {
  readonly rows: TileAxis;
  readonly columns: TileAxis;
  readonly depth: TileAxis;
  readonly threads: KernelParts['threads'];
}

function layoutOf(
  { rows }: ContractionProblem,
  { threadRows, threadColumns, columns, vector }: ChoiceOf<'thin'>,
): Layout {
  return {
    rows: spread(rows.extent, 'whole'),
    columns: spread(threadRows * columns, threadRows === 1 ? 'whole' : 'rows', 4),
    depth: spread(threadColumns * vector, 'columns', vector),
    threads: { rows: threadRows, columns: threadColumns },
  };
}

export function thinKernel(
  problem: ContractionProblem,
  choice: ChoiceOf<'thin'>,
  context: ScheduleContext,
): KernelParts {
  const { node, contraction, batch, rows, columns, reduced } = problem;
  const layout = layoutOf(problem, choice);
  const rank = node.result.shape.length;
  const width = layout.columns.extent;
  const step = layout.depth.extent;
  const groups = Math.ceil(columns.extent / width);
  const row = (axis: number) => coordinate(axis, rows.extent);
  const column = (axis: number) => sum(product(grid(1, groups), constant(width)), coordinate(axis, width));
  const at = (depth: TileExpression) =>
    iteratorsAt(
      rank + node.reduce.extents.length,
      [
        [batch, grid(0, batch.extent)],
        [rows, row(0)],
        [columns, column(1)],
        [reduced, depth],
      ],
      constant(0),
    );
  const { tensors } = context;
  const place = [row(0), coordinate(1, width), coordinate(2, step)];
  const soFar = element('partial', 'f32', place);
  const zero = constant(0, 'f32');
  const total = element('sum', 'f32', place.slice(0, 2));
  const outputs = at(constant(0));
  const { finish } = node.reduce;
  // Where the axis ends in a run, a run of neighbours may reach far behind its end.
  const run =
    reduced.end === undefined ? sharedRun([contraction.left, contraction.right], reduced, step) : undefined;
  const along = (to: TileExpression, extent: number, by: number) => ({
    ...{ from: constant(0), to, step: by, multipleOf: by },
    range: { low: 0, high: Math.floor((extent - 1) / by) * by },
  });
  const all = (by: number) => along(endExpression(reduced.end, reduced.extent), reduced.extent, by);
  const inRuns = (body: (k: TileExpression) => readonly TileStatement[]): TileStatement => {
    if (run === undefined) return loop('k', all(step), body);
    return loop('run', all(run), (first) => [
      loop('k', along(constant(run), run, step), (k) => body(sum(first, k))),
    ]);
  };
  return {
    name: `contract_${node.result.name}`,
    grid: [batch.extent, groups],
    gridEnds: [gridEnd(batch.end, 1), gridEnd(columns.end, width)],
    threads: layout.threads,
    body: [
      define(register('partial', 'f32', [layout.rows, layout.columns, layout.depth]), zero),
      inRuns((k) => {
        const depth = sum(k, coordinate(2, step));
        const iterators = at(depth);
        const [left, right] = [contraction.left, contraction.right].map((factor) =>
          lowerScalar(factor, { tensors, iterators }),
        );
        const term = masked(below(depth, constant(reduced.extent)), apply('mul', 'f32', left!, right!), zero);
        return [update('partial', apply('add', 'f32', soFar, term))];
      }),
      reduceTiles('sum', ['partial'], ['sum']),
      store(
        node.result,
        [layout.rows, layout.columns],
        flatten(outputs.slice(0, rank), node.result.shape),
        finish === undefined ? total : lowerScalar(finish, { tensors, iterators: outputs, reduced: total }),
        below(column(1), constant(columns.extent)),
      ),
    ],
  };
}
