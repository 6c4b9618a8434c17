/** Where the invocations of a warp are in what matrix units compute (PTX ISA, "mma.m16n8k16"). */
import type { TileAxis, UnitSpread } from '../../../compiler/tiles/tile-program.ts';
import { linearConstant, linearValue, plus, times } from '../../writing/linear.ts';
import type { Dealt, Emission, Sum, UnitPlaces } from './emission.ts';
import { literal, type Value } from './values.ts';
import type { Writer } from './writer.ts';

export const warpSize = 32;
/** That have the same row of a warp's results. */
export const lanesOfRow = 4;
/** Of every eight columns, that a lane has of a row. */
export const columnsOfLane = 2;

export function unitPlaces(
  writer: Writer,
  places: { readonly [S in Dealt]: Value },
  columns: number,
): UnitPlaces {
  const isOne = columns === warpSize;
  const of = (opcode: string, by: number) =>
    writer.operation(opcode, 'u32', [places.columns, literal(by, 'u32')]);
  return {
    lane: isOne ? places.columns : of('and.b32', warpSize - 1),
    warpRow: places.rows,
    warpColumn: isOne ? literal(0, 'u32') : of('shr.u32', Math.log2(warpSize)),
  };
}

/** Where the invocation's element number `at` is along an axis. */
export function unitCoordinate(
  emission: Emission,
  { over, block }: TileAxis & { readonly over: UnitSpread },
  at: number,
): Sum {
  const { writer, unit } = emission;
  const index = (opcode: string, by: number) =>
    linearValue(writer.operation(opcode, 'i32', [unit.lane, literal(by, 'u32')]), { isNatural: true });
  const first = unitFirst(emission, over, block);
  if (over === 'unitRows') {
    const place = blockPlace(emission, over, block, 8 * at);
    return plus(plus(first, index('shr.u32', 2)), linearConstant(place));
  }
  const place = blockPlace(emission, over, block, 8 * Math.floor(at / 2)) + (at % 2);
  return plus(plus(first, times(index('and.b32', 3), 2)), linearConstant(place));
}

/** Where the warp's first block begins. */
export function unitFirst(emission: Emission, over: UnitSpread, block: number): Sum {
  const { warpRow, warpColumn } = emission.unit;
  const warp = over === 'unitRows' ? warpRow : warpColumn;
  if (warp.known !== undefined) return linearConstant(warp.known * block);
  return times(linearValue(warp, { isNatural: true }), block);
}

/** How far behind that the warp's element `at` is, counted without those of other warps. */
export function blockPlace(emission: Emission, over: UnitSpread, block: number, at: number): number {
  const warps = warpsAlong(emission, over);
  return Math.floor(at / block) * block * warps + (at % block);
}

/** Among how many warps an axis is dealt out. */
export function warpsAlong({ program }: Emission, over: UnitSpread): number {
  const { rows, columns } = program.threads;
  return over === 'unitRows' ? rows : columns / warpSize;
}
