/** Tiles in registers: dealt out over the invocations, each keeping its own elements. */
import { updatedTiles } from '../../../compiler/tiles/changes.ts';
import { createDomain, type Domain } from '../../../compiler/tiles/lanes.ts';
import { isOverUnits } from '../../../compiler/tiles/tile-builder.ts';
import type { TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { Tile, TileAxis } from '../../../compiler/tiles/tile-program.ts';
import { linearConstant, linearValue, plus, times } from '../../writing/linear.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import { placesIn } from '../../writing/reduction.ts';
import { addedProduct, type Factors } from './accumulation.ts';
import { type Emission, fragmentExtent, type Sum, sharers, type TileState } from './emission.ts';
import { emit } from './expressions.ts';
import { applyFunction } from './functions.ts';
import { partsOfValues } from './unit-parts.ts';
import { unitCoordinate } from './units.ts';
import { type Lanes, laneOf, lanesFrom, type Value } from './values.ts';

/** Every place of an invocation in a domain spread over the invocations, row-major. */
export function registerPoints(emission: Emission, domain: Domain): readonly PointOf<Value>[] {
  const fragment = domain.axes.map((axis) => fragmentExtent(emission, axis));
  const last = fragment.length - 1;
  const steps = fragment.map((extent, axis) => (axis === last ? extent / domain.width : extent));
  if (steps.some((extent) => !Number.isInteger(extent)))
    throw new Error(`${emission.program.name}: a tile is not dealt out evenly`);
  return placesIn(steps).map((place) => {
    const indices = place.map((at, axis) => (axis === last ? at * domain.width : at));
    return {
      domain,
      width: domain.width,
      fragment: indices,
      coordinates: indices.map((at, axis) => coordinateOf(emission, domain.axes[axis]!, at)),
    };
  });
}

/** Where along its axis the invocation's element number `at` is. */
function coordinateOf(emission: Emission, axis: TileAxis, at: number): Sum {
  if (axis.over === 'whole') return linearConstant(at);
  if (isOverUnits(axis.over)) return unitCoordinate(emission, { ...axis, over: axis.over }, at);
  const count = sharers(emission, axis.over);
  const place = Math.floor(at / axis.block) * axis.block * count + (at % axis.block);
  if (count === 1) return linearConstant(place);
  const own = axis.over === 'lanes' ? emission.unit.lane : emission.places[axis.over];
  const index = linearValue(own, { isNatural: true });
  return plus(times(index, axis.block), linearConstant(place));
}

export function defineRegisters(emission: Emission, tile: Tile, value: TileExpression): void {
  declareRegisters(emission, tile, valuesOf(emission, tile, value));
}

function isAnyNeeded(emission: Emission, { tile }: TileState, isNeeded: TileExpression): Value {
  const { writer } = emission;
  const points = registerPoints(emission, createDomain(tile.axes));
  const each = points.flatMap((point) => allOf(emit(emission, isNeeded, point), point));
  const distinct = [...new Map(each.map((value) => [value.key, value])).values()];
  const own = distinct.reduce((left, right) => applyFunction(writer, 'or', 'bool', [left, right]));
  return writer.compute(
    ...([['bool'], [writer.predicate(own)]] as const),
    ([result], [any]) => `vote.sync.any.pred ${result}, ${any}, 0xffffffff;`,
    { fixed: true },
  )[0]!;
}

/** What an invocation's registers of a tile are to have. */
function valuesOf(emission: Emission, tile: Tile, value: TileExpression): readonly Value[] {
  const points = registerPoints(emission, createDomain(tile.axes));
  const found = new Map(
    inOrder(points).map((point) => [point, allOf(emit(emission, value, point), point)] as const),
  );
  const values = points.flatMap((point) => found.get(point)!);
  return partsOfValues(emission.writer, tile, values);
}

/**
 * The order in which places are computed. In results of units, whose rows are few, column by column: what is
 * known of a column, such as a bias, needs no register until the next row.
 */
function inOrder(points: readonly PointOf<Value>[]): readonly PointOf<Value>[] {
  const last = points[0]?.domain.axes.at(-1);
  if (last === undefined || !isOverUnits(last.over)) return points;
  const column = ({ fragment }: PointOf<Value>) => fragment!.at(-1)!;
  return points.toSorted((left, right) => column(left) - column(right));
}

function allOf(lanes: Lanes, { width }: PointOf<Value>): readonly Value[] {
  return lanesFrom(width, (lane) => laneOf(lanes, lane));
}

/** Gives a register tile its first values: as they are, or as variables if anything updates it. */
export function declareRegisters(emission: Emission, tile: Tile, values: readonly Value[]): void {
  const mutable = updatedTiles(emission.program.body).has(tile.name);
  const { writer } = emission;
  const dtype = tile.packed === undefined ? tile.dtype : 'u32';
  // What is a variable elsewhere is taken as it is now.
  const registers = values.map((value) => {
    if (mutable) return writer.variable({ ...value, dtype });
    return value.mutable ? writer.operation(copies[dtype], dtype, [value]) : value;
  });
  emission.tiles.set(tile.name, {
    tile,
    fragment: tile.axes.map((axis) => fragmentExtent(emission, axis)),
    registers,
    mutable,
    version: 0,
  });
}

const copies = { f32: 'mov.b32', i32: 'mov.b32', u32: 'mov.b32', bool: 'mov.pred' } as const;

/** @param isNeeded where it is: warps that have no such element go on at once */
export function updateRegisters(
  emission: Emission,
  state: TileState,
  value: TileExpression,
  isNeeded?: TileExpression,
): void {
  if (isNeeded !== undefined) {
    emission.writer.whenApart(isAnyNeeded(emission, state, isNeeded), () =>
      updateRegisters(emission, state, value),
    );
    return;
  }
  const added = addedProduct(state.tile, value);
  if (added !== undefined) {
    addProducts(emission, state, added);
    return;
  }
  // All new values are computed from the old ones, so they have to be known before the first changes.
  const values = valuesOf(emission, state.tile, value);
  for (const [at, register] of state.registers.entries()) emission.writer.assign(register, values[at]!);
  state.version++;
}

/** In one instruction each, which rounds once. */
function addProducts(emission: Emission, state: TileState, factors: Factors): void {
  const [left, right] = factors.map((factor) => valuesOf(emission, state.tile, factor)) as [
    readonly Value[],
    readonly Value[],
  ];
  for (const [at, { text }] of state.registers.entries())
    emission.writer.effect(`fma.rn.f32 ${text}, ${left[at]!.text}, ${right[at]!.text}, ${text};`);
  state.version++;
}
