/**
 * Sums that take up one product after the other: multiplied and added in one instruction, which rounds once.
 * Nobody says in which order a sum is added up, nor so what is rounded on the way.
 */
import type { TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import type { Emission } from './emission.ts';
import { emit } from './expressions.ts';
import { type Lanes, laneOf, lanesFrom, type Value } from './values.ts';

export interface Accumulation {
  readonly soFar: TileExpression;
  readonly left: TileExpression;
  readonly right: TileExpression;
}

/** `soFar + left · right`, if that is what a tile is updated with, `soFar` being an element of itself. */
export function accumulationOf(tile: string, value: TileExpression): Accumulation | undefined {
  if (value.op !== 'apply' || value.function !== 'add' || value.dtype !== 'f32') return undefined;
  const soFar = value.operands.find((operand) => operand.op === 'element' && operand.tile === tile);
  const term = value.operands.find((operand) => operand !== soFar);
  if (soFar === undefined || term?.op !== 'apply' || term.function !== 'mul') return undefined;
  const [left, right] = term.operands as [TileExpression, TileExpression];
  return { soFar, left, right };
}

export function accumulated(
  emission: Emission,
  { soFar, left, right }: Accumulation,
  point: PointOf<Value>,
): Lanes {
  const operands = [left, right, soFar].map((operand) => emit(emission, operand, point));
  const width = operands.some((lanes) => lanes.length === 4) ? 4 : 1;
  return lanesFrom(width, (lane) =>
    emission.writer.operation(
      'fma.rn.f32',
      'f32',
      operands.map((lanes) => laneOf(lanes, lane)),
    ),
  );
}
