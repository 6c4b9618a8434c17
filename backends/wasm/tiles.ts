/** Tiles: dealt out over the invocations, each keeping its own elements in locals. */

import { updatedTiles } from '../../compiler/tiles/changes.ts';
import { type Domain, widthOf } from '../../compiler/tiles/lanes.ts';
import { isOverUnits } from '../../compiler/tiles/tile-builder.ts';
import type { ExpressionOf, TileExpression } from '../../compiler/tiles/tile-expression.ts';
import type { Tile, TileAxis } from '../../compiler/tiles/tile-program.ts';
import { linearConstant, plus, times } from '../writing/linear.ts';
import type { Point as PointOf } from '../writing/point.ts';
import { type Emission, fragmentExtent, type Register, refuse, sharers, type TileState } from './emission.ts';
import type { Linear } from './linear.ts';
import { component, compose, lanesOf, widen } from './values.ts';
import type { Value } from './writer.ts';

export function tileState(emission: Emission, name: string): TileState {
  const state = emission.tiles.get(name);
  if (state === undefined)
    throw new Error(`${emission.program.name} uses tile ${name} before its definition`);
  return state;
}

// ── places ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Every register's place in a domain spread over the invocations, row-major. */
export function registerPoints(emission: Emission, domain: Domain): PointOf<Value>[] {
  const fragment = domain.axes.map((axis) => fragmentExtent(emission, axis));
  for (const [axis, extent] of fragment.entries())
    if (!Number.isInteger(extent))
      throw new Error(`${emission.program.name}: axis ${axis} is not dealt out evenly`);
  const visit = (indices: readonly number[]): PointOf<Value>[] => {
    const axis = indices.length;
    if (axis === fragment.length) {
      const coordinates = indices.map((at, place) => coordinateOf(emission, domain.axes[place]!, at));
      return [{ domain, width: domain.width, fragment: indices, coordinates }];
    }
    const step = axis === fragment.length - 1 ? domain.width : 1;
    const count = fragment[axis]! / step;
    return Array.from({ length: count }, (_, at) => visit([...indices, at * step])).flat();
  };
  return visit([]);
}

/** Where along its axis the invocation's element number `at` is. */
function coordinateOf(emission: Emission, axis: TileAxis, at: number): Linear {
  if (axis.over === 'whole' || axis.over === 'lanes' || isOverUnits(axis.over)) return linearConstant(at);
  const count = sharers(emission, axis.over);
  const place = Math.floor(at / axis.block) * axis.block * count + (at % axis.block);
  return plus(times(emission.places[axis.over], axis.block), linearConstant(place));
}

// ── definitions ────────────────────────────────────────────────────────────────────────────────────────────

/** Gives a tile its first values: as they are, or as variables if anything updates it. */
export function declareTile(emission: Emission, tile: Tile, values: readonly Value[]): void {
  if (tile.space === 'shared') throw refuse(emission, `keeps ${tile.name} in workgroup memory`);
  const width = widthOf(tile.axes);
  const { writer } = emission;
  const isUpdated = updatedTiles(emission.program.body).has(tile.name);
  const registers = values.map((value): Register => {
    // What a variable is now, not what it will be.
    if (!isUpdated && !value.mutable) return { kind: 'value', value };
    const whole = widen(writer, value, width);
    const local = writer.variable(width === 4 ? 'v128' : lanesOf(tile.dtype));
    writer.set(local, whole);
    return { kind: 'variable', local };
  });
  const fragment = tile.axes.map((axis) => fragmentExtent(emission, axis));
  emission.tiles.set(tile.name, {
    tile,
    fragment,
    width,
    registers,
    version: nextVersion(emission, tile.name),
  });
}

/** A tile that is defined in a loop is another one each time. */
function nextVersion(emission: Emission, name: string): number {
  return (emission.tiles.get(name)?.version ?? 0) + 1;
}

/** All at once: what one register gets may be what another was. */
export function setTile(emission: Emission, state: TileState, values: readonly Value[]): void {
  const { writer } = emission;
  const locals = state.registers.map((register) =>
    register.kind === 'variable' ? register.local : undefined,
  );
  const kept = values.map((value, at) => {
    const { code } = value;
    if (!value.mutable || code.kind !== 'local' || !locals.slice(0, at).includes(code.local)) return value;
    const local = writer.variable(code.type);
    writer.set(local, value);
    return writer.current(local, value.dtype, 0);
  });
  for (const [at, local] of locals.entries()) if (local !== undefined) writer.set(local, kept[at]!);
  state.version++;
}

/** A tile that does not change any more: its variables are values of where the program is now. */
export function settled({ writer }: Emission, state: TileState): TileState {
  if (state.registers.every(({ kind }) => kind === 'value')) return state;
  const registers = state.registers.map(
    (register): Register =>
      register.kind === 'value'
        ? register
        : { kind: 'value', value: writer.settled(register.local, state.tile.dtype) },
  );
  return { ...state, registers };
}

// ── elements ───────────────────────────────────────────────────────────────────────────────────────────────

/** The n-th register as it is now. */
export function registerValue({ writer }: Emission, state: TileState, at: number): Value {
  const register = state.registers[at]!;
  return register.kind === 'value'
    ? register.value
    : writer.current(register.local, state.tile.dtype, state.version);
}

/** The register that has the element, and its lane there. */
function registerOf({ fragment, width }: TileState, indices: readonly number[]) {
  const flat = indices.reduce((total, at, axis) => total * fragment[axis]! + at, 0);
  return { register: Math.floor(flat / width), lane: flat % width };
}

/** The vector (of a tile of vectors) that begins at an element. */
export function vectorAt(emission: Emission, state: TileState, indices: readonly number[]): Value {
  return registerValue(emission, state, registerOf(state, indices).register);
}

export function elementAt(emission: Emission, state: TileState, indices: readonly number[]): Value {
  const { register, lane } = registerOf(state, indices);
  return component(emission.writer, registerValue(emission, state, register), lane);
}

export function readTile(
  emission: Emission,
  { tile, subscripts }: ExpressionOf<'element'>,
  point: PointOf<Value>,
): Value {
  const state = tileState(emission, tile);
  const lanes = (point.width === 4 ? [0, 1, 2, 3] : [0]).map((lane) =>
    subscripts.map((subscript, axis) => fragmentIndex(emission, state, subscript, axis, point, lane)),
  );
  if (point.width === 4 && state.width === 4) {
    const last = lanes.map((indices) => indices.at(-1)!);
    if (last[0]! % 4 === 0 && last.every((at, lane) => at === last[0]! + lane))
      return vectorAt(emission, state, lanes[0]!);
  }
  if (new Set(lanes.map(String)).size === 1) return elementAt(emission, state, lanes[0]!);
  return compose(
    emission.writer,
    lanes.map((indices) => elementAt(emission, state, indices)),
  );
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
  if (subscript.op === 'constant' && (spread.over === 'whole' || spread.extent === 1)) return subscript.value;
  if (subscript.op === 'coordinate' && point.fragment !== undefined) {
    const own = point.domain.axes[subscript.axis]!;
    const isLast = subscript.axis === point.domain.axes.length - 1;
    const isSame = own.over === spread.over && (own.over === 'whole' || own.block === spread.block);
    if (isSame) return point.fragment[subscript.axis]! + (isLast ? lane : 0);
  }
  throw new Error(
    `${emission.program.name} reads tile ${state.tile.name} along axis ${axis} at a place that another invocation may have`,
  );
}
