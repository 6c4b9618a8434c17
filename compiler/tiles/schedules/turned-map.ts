/**
 * Maps that store along one axis what lies along another in memory, transpositions first of all: a workgroup
 * brings a square through shared memory, so that both sides touch whole lines of memory.
 */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { ComputeNode } from '../../graph/graph.ts';
import { loadsOf } from '../../graph/scalar.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { laneStride, neighbours } from '../lanes.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { expressionMapper } from '../map-expression.ts';
import { type AxisGroup, groupIterators, neighbouringLoads } from '../merge-axes.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { define, spread, store, turned } from '../tile-builder.ts';
import {
  arithmeticOfDtype,
  below,
  both,
  constant,
  coordinate,
  element,
  flatten,
  grid,
  product,
  sum,
  type TileExpression,
  unflatten,
} from '../tile-expression.ts';
import type { TileStatement } from '../tile-program.ts';
import type { ScheduleContext } from './context.ts';
import { mergedGroups } from './merged-groups.ts';
import { inBands } from './unit-walk.ts';

/** How a map may be turned. */
export interface Turn {
  /** The axes of the result, merged where everything runs through them as one. */
  readonly groups: readonly AxisGroup[];
  /** Which of `groups` has neighbours in memory where the last one has none. */
  readonly along: number;
  /** Elements that are read, and stored, at once. */
  readonly together: 4 | 8;
}

/** Side of a square, in pieces that are read at once: of 16 bytes these make a line of a cache. */
const piecesOfSide = 8;

const accessBytes = 16;

/** Undefined where nothing is to be gained, or pieces are not whole. */
export function turnOf(node: ComputeNode, context: ScheduleContext): Turn | undefined {
  const { shape, ends, dtype } = node.result;
  if (ends?.some((end) => end !== undefined)) return undefined;
  const groups = mergedGroups([node.body], shape, 0, shape.length, context);
  const column = groups.at(-1);
  if (column === undefined) return undefined;
  const along = groups
    .slice(0, -1)
    .findIndex(
      ({ carrier }) =>
        neighbouringLoads(node.body, shape, carrier, column.carrier, context.tensors).along > 0,
    );
  if (along < 0) return undefined;
  const bytes = [dtype, ...loadsOf(node.body).map((load) => load.dtype)].map(
    (each) => dtypeFacts[each].bits / 8,
  );
  const together = accessBytes / Math.min(...bytes) >= 8 ? 8 : 4;
  const isWorth = [groups[along]!, column].every(
    ({ extent }) => extent % together === 0 && extent >= together * 2,
  );
  return isWorth ? { groups, along, together } : undefined;
}

export function turnedSide({ together }: Turn): number {
  return piecesOfSide * together;
}

export function scheduleTurned(
  node: ComputeNode,
  turn: Turn,
  { threadRows, bands }: ChoiceOf<'turned'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { groups, along, together } = turn;
  const { result } = node;
  const side = turnedSide(turn);
  const [rows, columns] = [groups[along]!, groups.at(-1)!];
  const others = groups.filter((group) => group !== rows && group !== columns);
  const sizes = others.map(({ extent }) => extent);
  const count = sizes.reduce((total, extent) => total * extent, 1);
  const [high, wide] = [Math.ceil(rows.extent / side), Math.ceil(columns.extent / side)];
  const square = bands
    ? inBands(grid(1, high * wide), high, wide)
    : { row: grid(1, high), column: grid(2, wide) };
  const row = sum(product(square.row, constant(side)), coordinate(0, side));
  const column = sum(product(square.column, constant(side)), coordinate(1, side));
  const rest = unflatten(grid(0, count), sizes);
  const indices = groups.map((group) => {
    if (group === rows) return row;
    return group === columns ? column : rest[others.indexOf(group)]!;
  });
  const iterators = groupIterators(groups, indices);
  const value = lowerScalar(node.body, { tensors: context.tensors, iterators });
  const { brought, turnedValue } = bringTurned(value, side, together);
  return [
    context.kernel({
      name: `turn_${result.name}`,
      grid: bands ? [count, high * wide] : [count, high, wide],
      threads: { rows: threadRows, columns: piecesOfSide },
      body: [
        ...brought,
        store(
          result,
          [spread(side, 'rows'), spread(side, 'columns', together)],
          flatten(iterators, result.shape),
          turnedValue,
          both(below(row, constant(rows.extent)), below(column, constant(columns.extent))),
        ),
      ],
    }),
  ];
}

/** Tiles of what lies along the first axis in memory, and the value by them. */
function bringTurned(value: TileExpression, side: number, together: number) {
  const axes = [spread(side, 'whole'), spread(side, 'whole', together)];
  const exchange = expressionMapper((each) =>
    each.op === 'coordinate' ? coordinate(1 - each.axis, side) : each,
  );
  const ofStore = neighbours(axes, together);
  const ofTile = neighbours(axes, together);
  const brought: TileStatement[] = [];
  const turnedValue = expressionMapper((each) => {
    if (each.op !== 'load') return each;
    const stride = laneStride(each.offset, ofStore);
    if (stride === 0 || stride === 1) return each;
    const exchanged = exchange(each);
    if (exchanged.op !== 'load' || laneStride(exchanged.offset, ofTile) !== 1) return each;
    const name = `turned${brought.length}`;
    brought.push(define(turned(name, each.dtype, axes), exchanged));
    return element(name, arithmeticOfDtype(each.dtype), [coordinate(1, side), coordinate(0, side)]);
  })(value);
  return { brought, turnedValue };
}
