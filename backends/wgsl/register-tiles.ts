/** Tiles in registers: dealt out over the invocations, each keeping its own elements in variables. */

import { updatedTiles } from '../../compiler/tiles/changes.ts';
import { createDomain, type Domain, widthOf } from '../../compiler/tiles/lanes.ts';
import { isOverUnits } from '../../compiler/tiles/tile-builder.ts';
import type { TileExpression } from '../../compiler/tiles/tile-expression.ts';
import type { Tile, TileAxis } from '../../compiler/tiles/tile-program.ts';
import { linearConstant, linearValue, plus, times } from '../writing/linear.ts';
import type { Point as PointOf } from '../writing/point.ts';
import { type Emission, fragmentExtent, invocationIndex, sharers, type TileState } from './emission.ts';
import { emit, emitFull } from './expressions.ts';
import type { Linear } from './linear.ts';
import { typeText } from './wgsl-text.ts';
import type { Value } from './writer.ts';

/** Every register's place in a domain spread over the invocations, row-major. */
export function registerPoints(emission: Emission, domain: Domain): PointOf<Value>[] {
  const fragment = domain.axes.map((axis) => fragmentExtent(emission, axis));
  for (const [axis, extent] of fragment.entries())
    if (!Number.isInteger(extent))
      throw new Error(
        `${emission.program.name}: axis ${axis} of ${domain.axes[axis]!.extent} is not dealt out evenly`,
      );
  const points: PointOf<Value>[] = [];
  const visit = (indices: readonly number[]): void => {
    const axis = indices.length;
    if (axis === fragment.length) {
      points.push({
        domain,
        width: domain.width,
        fragment: indices,
        coordinates: indices.map((at, axis) => coordinateOf(emission, domain.axes[axis]!, at)),
      });
      return;
    }
    const step = axis === fragment.length - 1 ? domain.width : 1;
    for (let at = 0; at < fragment[axis]!; at += step) visit([...indices, at]);
  };
  visit([]);
  return points;
}

/** Where along its axis the invocation's element number `at` is. */
function coordinateOf(emission: Emission, axis: TileAxis, at: number): Linear {
  if (axis.over === 'whole' || isOverUnits(axis.over)) return linearConstant(at);
  const count = sharers(axis.over, emission.program.threads, emission.subgroupSize);
  const place = Math.floor(at / axis.block) * axis.block * count + (at % axis.block);
  if (count === 1) return linearConstant(place);
  const index = times(linearValue(invocationIndex(emission, axis.over)), axis.block);
  return plus(index, linearConstant(place));
}

export function defineRegisters(emission: Emission, tile: Tile, value: TileExpression): void {
  const domain = createDomain(tile.axes);
  const values = registerPoints(emission, domain).map((point) => emit(emission, value, point));
  declareRegisters(emission, tile, values);
}

/** Gives a register tile its first values: as they are, or as variables if anything updates it. */
export function declareRegisters(emission: Emission, tile: Tile, values: readonly Value[]): void {
  const width = widthOf(tile.axes);
  const mutable = updatedTiles(emission.program.body).has(tile.name);
  const { writer } = emission;
  const registers = values.map((value, at): Value => {
    // What a variable is now, not what it will be.
    if (!mutable) return value.mutable ? copyOf(emission, value) : value;
    const name = `${tile.name}_${at}`;
    writer.statement(`var ${name} = ${typeText(tile.dtype, width)}(${value.text});`);
    return { text: name, key: name, dtype: tile.dtype, width, depth: writer.depth(), mutable: true };
  });
  emission.tiles.set(tile.name, {
    tile,
    fragment: tile.axes.map((axis) => fragmentExtent(emission, axis)),
    width,
    registers,
    mutable,
    version: 0,
  });
}

function copyOf(emission: Emission, value: Value): Value {
  return emission.writer.compute(value.dtype, value.width, [value], ([text]) => `${text}`);
}

export function updateRegisters(emission: Emission, state: TileState, value: TileExpression): void {
  const domain = createDomain(state.tile.axes);
  const values = registerPoints(emission, domain).map((point) => emitFull(emission, value, point));
  // All new values are computed from the old ones, so they have to be known before the first changes.
  for (const [at, register] of state.registers.entries())
    emission.writer.statement(`${register.text} = ${values[at]!.text};`);
  state.version++;
}

/** A tile in registers that does not change any more: what is computed from it may be moved out of loops. */
export function settled(state: TileState): TileState {
  if (!state.mutable || state.tile.space === 'shared') return state;
  const registers = state.registers.map(({ mutable: _, ...value }): Value => value);
  return { ...state, registers, mutable: false };
}
