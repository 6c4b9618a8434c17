/** The factors of a chain of products as boxes of tensors, which an engine can copy. */
import type { Scalar } from '../../graph/graph.ts';
import type { Half } from '../packed.ts';
import { constant, type TileExpression } from '../tile-expression.ts';
import type { Box } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { ChainProblem } from './chain-problem.ts';
import type { ScheduleContext } from './context.ts';
import { boxOf, type Side, side } from './unit-boxes.ts';
import type { StreamWalk } from './unit-stream-walk.ts';

export interface ChainBoxes {
  /** Of each link; undefined where rows do not lie beside each other. */
  readonly rows: readonly (Box | undefined)[];
  /** Of the block that begins at a position of the streamed axis, in a turn. */
  readonly stream: (start: TileExpression, turn: TileExpression) => StreamBoxes;
}

interface StreamBoxes {
  readonly links: readonly Box[];
  /** Of each outer product. */
  readonly values: readonly Box[];
}

/**
 * Undefined where a streamed factor is none.
 * @param starts the first of the workgroup's rows and values
 */
export function chainBoxes(
  problem: ChainProblem,
  walk: StreamWalk,
  starts: { readonly rows: TileExpression; readonly values: TileExpression },
  context: ScheduleContext,
): ChainBoxes | undefined {
  const { node, outers, links, batch, rows, turns, streamed } = problem;
  const none = constant(0);
  const extents = [...node.result.shape, ...node.reduce.extents];
  const sidesOf = (name: string, axes: readonly number[], along: readonly TileExpression[]) =>
    axes.map((axis, at) => ({ axis, side: side(`${name}${at}`, extents[axis]!, along[at]!) }));
  const row = side('row', rows.extent, starts.rows);
  const places = outers.map(({ values }) => side('value', values.extent, starts.values));
  const deep = links.map(({ depth }) => side('depth', depth, none));
  const boxAt = (scalar: Scalar, stored: Half, inner: Side, outer: Side, turn: TileExpression) => {
    const several = [
      ...sidesOf('batch', batch.axes, batch.iterators(walk.batch)),
      ...sidesOf('turn', turns.axes, turns.iterators(turn)),
    ];
    const iterators = [
      ...iteratorsAt(
        extents.length,
        [[rows, row.place], ...outers.map(({ values }, at) => [values, places[at]!.place] as const)],
        none,
      ),
      ...deep.map(({ place }) => place),
    ];
    for (const { axis, side: each } of several) iterators[axis] = each.place;
    if (outer !== row) iterators[streamed.axis] = outer.place;
    const sides = [inner, outer, ...several.map((each) => each.side)];
    return boxOf(scalar, stored, iterators, sides, context);
  };
  const stream = (start: TileExpression, turn: TileExpression) => {
    const u = side('u', streamed.extent, start);
    const ofLinks = links.map((link, at) => boxAt(link.ofStream, link.packed, deep[at]!, u, turn));
    const ofValues = outers.map(({ factor, packed }, at) => boxAt(factor, packed, places[at]!, u, turn));
    const boxes = [ofLinks, ofValues].map((each) => each.flatMap((box) => box ?? []));
    const areAll = boxes[0]!.length === links.length && boxes[1]!.length === outers.length;
    return areAll ? { links: boxes[0]!, values: boxes[1]! } : undefined;
  };
  if (stream(none, none) === undefined) return undefined;
  return {
    rows: links.map((link, at) => boxAt(link.ofRow, link.packed, deep[at]!, row, none)),
    stream: (start, turn) => stream(start, turn)!,
  };
}
