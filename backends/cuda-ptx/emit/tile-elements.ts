/** Reading elements of tiles that an invocation has in registers. */
import type { TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import type { Emission, TileState } from './emission.ts';
import { type Lanes, lanesFrom, type Value } from './values.ts';

export function readRegisters(
  emission: Emission,
  state: TileState,
  subscripts: readonly TileExpression[],
  point: PointOf<Value>,
): Lanes {
  const lanes = lanesFrom(point.width, (lane) =>
    registerAt(
      state,
      subscripts.map((subscript, axis) => fragmentIndex(emission, state, subscript, axis, point, lane)),
    ),
  );
  return lanes.every(({ key }) => key === lanes[0].key) ? [lanes[0]] : lanes;
}

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
