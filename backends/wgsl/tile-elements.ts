/** Reading elements of tiles: from registers, from another lane's registers, from workgroup memory. */
import type { TileExpression } from '../../compiler/tiles/tile-expression.ts';
import type { TileAxis } from '../../compiler/tiles/tile-program.ts';
import type { Point as PointOf } from '../writing/point.ts';
import type { Emission, TileState } from './emission.ts';
import { type Linear, sumOf } from './linear.ts';
import { fromLanes, type Places, placeOf } from './places.ts';
import { component, compose } from './values.ts';
import type { Value } from './writer.ts';

export function tileState(emission: Emission, name: string): TileState {
  const state = emission.tiles.get(name);
  if (state === undefined)
    throw new Error(`${emission.program.name} uses tile ${name} before its definition`);
  return state;
}

// ── registers ──────────────────────────────────────────────────────────────────────────────────────────────

export function readRegister(
  emission: Emission,
  state: TileState,
  subscripts: readonly TileExpression[],
  point: PointOf<Value>,
): Value {
  const lanes = (point.width === 4 ? [0, 1, 2, 3] : [0]).map((lane) =>
    subscripts.map((subscript, axis) => fragmentIndex(emission, state, subscript, axis, point, lane)),
  );
  if (point.width === 4 && state.width === 4) {
    const last = lanes.map((indices) => indices.at(-1)!);
    if (last[0]! % 4 === 0 && last.every((at, lane) => at === last[0]! + lane))
      return registerAt(emission, state, lanes[0]!, undefined);
  }
  const parts = lanes.map((indices) => registerAt(emission, state, indices, indices.at(-1) ?? 0));
  const [only] = parts;
  return parts.length === 1 || parts.every((part) => part.key === only!.key)
    ? only!
    : compose(emission, parts);
}

/**
 * Which of the invocation's elements along `axis` a subscript means; along `lanes`, the place in the whole
 * axis.
 */
function fragmentIndex(
  emission: Emission,
  state: TileState,
  subscript: TileExpression,
  axis: number,
  point: PointOf<Value>,
  lane: number,
): number {
  const spread = state.tile.axes[axis]!;
  if (subscript.op === 'constant' && (spread.over === 'whole' || spread.over === 'lanes'))
    return subscript.value;
  if (subscript.op === 'constant' && spread.extent === 1) return 0;
  if (subscript.op === 'coordinate' && point.fragment !== undefined) {
    const domainAxis = point.domain.axes[subscript.axis]!;
    const isLast = subscript.axis === point.domain.axes.length - 1;
    const index = point.fragment[subscript.axis]! + (isLast ? lane : 0);
    if (sameSpread(domainAxis, spread) || (domainAxis.over === 'whole' && spread.over === 'lanes'))
      return index;
  }
  throw new Error(
    `${emission.program.name} reads tile ${state.tile.name} along axis ${axis} at a place that another invocation may have`,
  );
}

function sameSpread(left: TileAxis, right: TileAxis): boolean {
  if (left.over !== right.over || left.over === 'lanes') return false;
  return left.over === 'whole' || left.block === right.block;
}

/** A register's element; the whole register (of four) when `element` is undefined. */
export function registerAt(
  emission: Emission,
  state: TileState,
  indices: readonly number[],
  element: number | undefined,
): Value {
  const { axes } = state.tile;
  const lanesAxis = axes.findIndex((axis) => axis.over === 'lanes');
  const own = [...indices];
  let source: number | undefined;
  if (lanesAxis >= 0 && emission.subgroupSize !== undefined) {
    // Rounds of `block` elements in each lane.
    const { block } = axes[lanesAxis]!;
    const at = indices[lanesAxis]!;
    const dealt = Math.floor(at / block);
    source = dealt % emission.subgroupSize;
    own[lanesAxis] = Math.floor(dealt / emission.subgroupSize) * block + (at % block);
  }
  const flat = own.reduce((total, at, axis) => total * state.fragment[axis]! + at, 0);
  const value = state.registers[Math.floor(flat / state.width)]!;
  const picked = element === undefined ? value : component(value, flat % state.width);
  const current = state.mutable ? { ...picked, key: `${picked.key}@${state.version}` } : picked;
  if (source === undefined) return current;
  emission.usesSubgroups = true;
  return emission.writer.compute(
    current.dtype,
    current.width,
    [current],
    ([text]) => `subgroupBroadcast(${text}, ${source}u)`,
  );
}

// ── workgroup memory ───────────────────────────────────────────────────────────────────────────────────────

export function readShared(emission: Emission, state: TileState, place: Linear): Value {
  return sharedAt(emission, state, place, 1);
}

export function readSharedFour(emission: Emission, state: TileState, places: Places): Value {
  if (places.kind === 'strided' && places.aligned && state.width === 4)
    return sharedAt(emission, state, places.first, 4);
  return compose(
    emission,
    fromLanes((lane) => readShared(emission, state, placeOf(places, lane))),
  );
}

function sharedAt(emission: Emission, state: TileState, offset: Linear, width: 1 | 4): Value {
  const at = sumOf(emission, offset);
  const name = sharedName(state.tile.name);
  const version: Value = { text: '', key: `@${state.version}`, dtype: 'u32', width: 1, depth: 0 };
  return emission.writer.compute(
    state.tile.dtype,
    width,
    [version, at],
    ([tag, text]) => {
      if (state.width === 1) return `${name}${tag}[${text}]`;
      return width === 4 ? `${name}${tag}[${text} >> 2u]` : `${name}${tag}[${text} >> 2u][${text} & 3]`;
    },
    { fixed: true },
  );
}

export function sharedName(tile: string): string {
  return `shared_${tile}`;
}
