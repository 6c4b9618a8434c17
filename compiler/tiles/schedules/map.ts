/** Maps: each invocation computes runs of four neighbours of the flat result. */
import type { ComputeNode, Scalar } from '../../graph/graph.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { groupIterators } from '../merge-axes.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { spread, store } from '../tile-builder.ts';
import { type TileExpression, unflatten } from '../tile-expression.ts';
import type { ScheduleContext } from './context.ts';
import { flatResults } from './flat-results.ts';
import { mergedGroups } from './merged-groups.ts';
import { scheduleTurned, type Turn, turnOf } from './turned-map.ts';

/** Elements that an invocation computes together: four, so that words of any dtype are stored whole. */
const vector = 4;

export interface MapProblem {
  readonly kind: 'map';
  readonly node: ComputeNode;
  /** How it may be turned; undefined where it need not. */
  readonly turn: Turn | undefined;
}

export type MapForm = 'map' | 'turned';

export function mapProblem(node: ComputeNode, context: ScheduleContext): MapProblem {
  return { kind: 'map', node, turn: turnOf(node, context) };
}

export function scheduleMap(
  { node, turn }: MapProblem,
  choice: ChoiceOf<MapForm>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  if (choice.form === 'turned') return scheduleTurned(node, turn!, choice, context);
  const { threadColumns } = choice;
  const tile = threadColumns * vector;
  const axis = spread(tile, 'threads', vector);
  const { flat, mask, ...ofGrid } = flatResults(node.result, tile);
  const value = mapBody(node, flat, context);
  return [
    context.kernel({
      name: `map_${node.result.name}`,
      ...ofGrid,
      threads: { rows: 1, columns: threadColumns },
      body: [store(node.result, [axis], flat, value, mask)],
    }),
  ];
}

/** The node's value at a flat position of its result. */
function mapBody(node: ComputeNode, flat: TileExpression, context: ScheduleContext): TileExpression {
  const { shape } = node.result;
  const iterators = flatIterators([node.body], shape, shape.length, flat, context);
  return lowerScalar(node.body, { tensors: context.tensors, iterators });
}

/**
 * The iterators of axes `0 … rank − 1` at a flat position in their box, without divisions where every use of
 * them in `scalars` allows it. `extents` has all of the node's axes.
 */
function flatIterators(
  scalars: readonly Scalar[],
  extents: readonly number[],
  rank: number,
  flat: TileExpression,
  context: ScheduleContext,
): TileExpression[] {
  const groups = mergedGroups(scalars, extents, 0, rank, context);
  const indices = unflatten(
    flat,
    groups.map((group) => group.extent),
  );
  return groupIterators(groups, indices);
}
