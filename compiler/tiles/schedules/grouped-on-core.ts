/**
 * Grouped contractions on a core. A workgroup has many or all rows of an expert, and some blocks of columns.
 * It first copies what it needs of the expert's weights into memory of its own: what lies far apart is read
 * once, and what the loops then read is one piece in the nearest caches (Goto and van de Geijn, "Anatomy of
 * high-performance matrix multiplication", 2008). Then it goes through the rows, found by the order that
 * `route` made, as many at a time as its registers hold sums of.
 */
import type { GroupedLookup, Scalar, Tensor } from '../../graph/graph.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { assumingWithin, endExpression, endsOf, gridEnd } from '../ends.ts';
import { lowerScalar } from '../lower-scalar.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { define, loop, multiplyAccumulate, register, spread, store, when } from '../tile-builder.ts';
import {
  apply,
  below,
  both,
  constant,
  coordinate,
  difference,
  element,
  flatten,
  grid,
  load,
  masked,
  minimum,
  product,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { ContractionProblem } from './contraction.ts';
import { groupedRows, ofExpert } from './grouped-rows.ts';

export function groupedOnCore(
  { node, contraction, batch, rows, columns, reduced, rightOrder }: ContractionProblem,
  grouped: GroupedLookup,
  choice: ChoiceOf<'tiles'>,
  { kernel, tensors, temporary }: ScheduleContext,
): ScheduledStep {
  const rank = node.result.shape.length;
  const total = rank + node.reduce.extents.length;
  const { rows: together, columns: width, threadRows, threadColumns: across, depth: steps } = choice;
  const tile = threadRows * together;
  const { groups, prepare, expert, start, end } = groupedRows(grouped, rows.extent, tile);
  /** Of the workgroup's rows. */
  const last = minimum(sum(start, constant(tile)), end);
  const weights = ofExpert(contraction.right, grouped, total);
  const blocks = Math.ceil(columns.extent / width);
  const columnGroups = Math.ceil(blocks / across);
  const firstBlock = product(grid(2, columnGroups), constant(across));
  const zero = constant(0, 'f32');

  const at = (row: TileExpression, column: TileExpression, depth: TileExpression) => [
    ...iteratorsAt(
      total,
      [
        [batch, grid(0, batch.extent)],
        [rows, row],
        [columns, column],
        [reduced, depth],
      ],
      constant(0),
    ),
    expert,
  ];
  const isReal = (depth: TileExpression) => below(depth, constant(reduced.extent));
  // A loop that goes step by step ends where the axes do.
  const factor = (scalar: Scalar, iterators: readonly TileExpression[], depth: TileExpression) => {
    const inLoop = steps === 1 ? assumingWithin(scalar, reduced.axes, endsOf(node)) : scalar;
    return masked(isReal(depth), lowerScalar(inLoop, { tensors, iterators }), zero);
  };
  const depthEnd = endExpression(reduced.end, reduced.extent);
  const allSteps = (step: number, to = depthEnd) => ({
    ...{ from: constant(0), to, step },
    range: { low: 0, high: Math.floor((reduced.extent - 1) / step) * step },
    multipleOf: step,
  });
  const columnOf = (block: TileExpression, axis: number) =>
    sum(product(sum(firstBlock, block), constant(width)), coordinate(axis, width));

  const blocksOf = {
    from: constant(0),
    to: minimum(constant(across), difference(constant(blocks), firstBlock)),
    step: 1,
    range: { low: 0, high: across - 1 },
  };

  const shape = [across, reduced.extent, width];
  const copies = choice.panels ? temporary(`${node.result.name}_panels`, { dtype: 'f32', shape }) : undefined;
  // What is behind the end in a run is met in the last steps, and has to be a number.
  const met = minimum(constant(reduced.extent), sum(depthEnd, constant(steps - 1)));
  const copyTo = (own: Tensor): TileStatement => {
    const copied = (k: TileExpression, block: TileExpression, axes: readonly TileAxis[]) => {
      const axis = axes.length;
      const column = columnOf(block, axis);
      return store(
        own,
        [...axes, spread(width, 'whole', 4)],
        flatten([block, k, coordinate(axis, width)], shape),
        masked(
          below(column, constant(columns.extent)),
          lowerScalar(weights, { tensors, iterators: at(constant(0), column, k) }),
          zero,
        ),
      );
    };
    const all = allSteps(1, met);
    // What lies together is read together.
    return rightOrder === 'kn'
      ? loop('copied', all, (k) => [copied(k, coordinate(0, across), [spread(across, 'whole')])])
      : loop('b', blocksOf, (block) => [loop('copied', all, (k) => [copied(k, block, [])])]);
  };
  const right = (block: TileExpression, columnAxis: number, depth: TileExpression) =>
    copies === undefined
      ? factor(weights, at(constant(0), columnOf(block, columnAxis), depth), depth)
      : masked(
          isReal(depth),
          load(copies.id, 'f32', flatten([block, depth, coordinate(columnAxis, width)], shape)),
          zero,
        );

  const order = copies === undefined ? rightOrder : 'kn';
  const sums = [spread(together, 'whole'), spread(width, 'whole', 4)];
  const ofBlock = (first: TileExpression, block: TileExpression): readonly TileStatement[] => {
    const position = (axis: number) => sum(first, coordinate(axis, together));
    const isOwn = (axis: number) => apply('lt', 'bool', position(axis), last);
    // Where nothing bounds a read, what bounds its place is known once for all of the reduced axes.
    const row = (axis: number) =>
      masked(
        isOwn(axis),
        load(grouped.order, 'i32', position(axis), { low: 0, high: rows.extent - 1 }),
        constant(0),
      );
    const outputs = at(row(0), columnOf(block, 1), constant(0));
    const value = element('sum', 'f32', [coordinate(0, together), coordinate(1, width)]);
    const { finish } = node.reduce;
    return [
      define(register('sum', 'f32', sums), zero),
      loop('k', allSteps(steps), (k) => {
        const along = (axis: number) => sum(k, coordinate(axis, steps));
        return [
          define(
            register('left', 'f32', [spread(together, 'whole'), spread(steps, 'whole')]),
            factor(contraction.left, at(row(0), constant(0), along(1)), along(1)),
          ),
          order === 'kn'
            ? define(
                register('right', 'f32', [spread(steps, 'whole'), spread(width, 'whole', 4)]),
                right(block, 1, along(0)),
              )
            : define(
                register('right', 'f32', [spread(width, 'whole', 4), spread(steps, 'whole', 4)]),
                right(block, 0, along(1)),
              ),
          multiplyAccumulate('sum', 'left', 'right', order),
        ];
      }),
      store(
        node.result,
        sums,
        flatten(outputs.slice(0, rank), node.result.shape),
        finish === undefined ? value : lowerScalar(finish, { tensors, iterators: outputs, reduced: value }),
        both(isOwn(0), below(columnOf(block, 1), constant(columns.extent))),
      ),
    ];
  };
  const rowsOf = { from: start, to: last, step: together, range: { low: 0, high: rows.extent - 1 } };
  return kernel({
    name: `grouped_${node.result.name}`,
    grid: [batch.extent, groups, columnGroups],
    gridEnds: [
      gridEnd(batch.end, 1),
      gridEnd(rows.end, tile, grouped.experts),
      gridEnd(columns.end, across * width),
    ],
    threads: { rows: 1, columns: 1 },
    ...(copies && { scratch: [copies.id] }),
    body: [
      ...prepare,
      when(apply('lt', 'bool', start, end), [
        ...(copies === undefined ? [] : [copyTo(copies)]),
        loop('m', rowsOf, (first) => [loop('c', blocksOf, (block) => ofBlock(first, block))]),
      ]),
    ],
  });
}
