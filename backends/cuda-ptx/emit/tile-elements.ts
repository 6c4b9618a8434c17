/** Reading elements of tiles that an invocation has in registers. */
import type { TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { TileAxis } from '../../../compiler/tiles/tile-program.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import type { Emission, TileState } from './emission.ts';
import { columnsOfLane, lanesOfRow, warpSize } from './units.ts';
import { type Lanes, lanesFrom, type Value } from './values.ts';

export function readRegisters(
  emission: Emission,
  state: TileState,
  subscripts: readonly TileExpression[],
  point: PointOf<Value>,
): Lanes {
  const [axis] = state.tile.axes;
  if (axis?.over === 'lanes') return [fromLane(emission, state, axis, subscripts[0]!, point)];
  const lanes = lanesFrom(point.width, (lane) =>
    registerAt(
      state,
      subscripts.map((subscript, axis) => fragmentIndex(emission, state, subscript, axis, point, lane)),
    ),
  );
  return lanes.every(({ key }) => key === lanes[0].key) ? [lanes[0]] : lanes;
}

/**
 * Of a tile along the columns of a warp's results, of which each lane has two neighbours: those of its column
 * from the lane that has them. Four lanes have the columns of a row, and four neighbouring ones what these
 * want of eight columns, in the same order: the source is as far from the first of its four as the lane is.
 */
function fromLane(
  emission: Emission,
  state: TileState,
  { extent, block }: TileAxis,
  subscript: TileExpression,
  point: PointOf<Value>,
): Value {
  const own = subscript.op === 'coordinate' ? point.domain.axes[subscript.axis] : undefined;
  const at = subscript.op === 'coordinate' ? point.fragment?.[subscript.axis] : undefined;
  const isOfColumns = own?.over === 'unitColumns' && own.extent === extent && own.block === extent;
  if (at === undefined || !isOfColumns || block !== columnsOfLane || state.tile.axes.length > 1)
    throw new Error(
      `${emission.program.name} reads tile ${state.tile.name}, of lanes, not as columns of a warp`,
    );
  const first = lanesOfRow * Math.floor(at / columnsOfLane);
  const round = Math.floor(first / warpSize);
  const value = registerAt(state, [columnsOfLane * round + (at % columnsOfLane)]);
  return emission.writer.compute(
    [value.dtype],
    [value],
    ([result], [from]) =>
      `shfl.sync.idx.b32 ${result}, ${from}, ${first % warpSize}, ${withinFour}, 0xffffffff;`,
  )[0]!;
}

/** The bits of a lane's number that a source has too, and what sources are at most (PTX ISA, "shfl.sync"). */
const withinFour = ((lanesOfRow - 1) << 8) | (warpSize - 1);

/** Which of the invocation's elements along `axis` a subscript means. */
function fragmentIndex(
  emission: Emission,
  state: TileState,
  subscript: TileExpression,
  axis: number,
  point: PointOf<Value>,
  lane: number,
): number {
  const spread = state.tile.axes[axis]!;
  if (subscript.op === 'constant' && spread.over === 'whole') return subscript.value;
  if (subscript.op === 'constant' && spread.extent === 1) return 0;
  if (subscript.op === 'coordinate' && point.fragment !== undefined) {
    const own = point.domain.axes[subscript.axis]!;
    const isLast = subscript.axis === point.domain.axes.length - 1;
    if (own.over === spread.over && (own.over === 'whole' || own.block === spread.block))
      return point.fragment[subscript.axis]! + (isLast ? lane : 0);
  }
  throw new Error(
    `${emission.program.name} reads tile ${state.tile.name} along axis ${axis} at a place that another invocation may have`,
  );
}

/** A register tile's element, as it is now. */
export function registerAt(state: TileState, indices: readonly number[]): Value {
  const flat = indices.reduce((total, at, axis) => total * state.fragment[axis]! + at, 0);
  const value = state.registers[flat]!;
  return state.mutable ? { ...value, key: `${value.key}@${state.version}` } : value;
}
