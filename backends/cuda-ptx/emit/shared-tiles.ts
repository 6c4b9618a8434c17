/** Tiles in shared memory: all invocations compute them together, and each reads what it needs. */
import { createDomain, type Domain } from '../../../compiler/tiles/lanes.ts';
import { isOverUnits } from '../../../compiler/tiles/tile-builder.ts';
import { subexpressionsOf, type TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { Tile } from '../../../compiler/tiles/tile-program.ts';
import { barrier, sharedReads } from '../../writing/barriers.ts';
import { linearConstant, linearValue, plus, times } from '../../writing/linear.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import type { Emission, Sum, TileState } from './emission.ts';
import { emit } from './expressions.ts';
import { packedValues, putPacked } from './packed-tiles.ts';
import { registerPoints } from './register-tiles.ts';
import { asWord, sharedAddress, sharedPlace } from './shared-memory.ts';
import { sumOf } from './sums.ts';
import { fillTurned } from './turned-tiles.ts';
import { type Lanes, laneOf, lanesFrom, literal, type Value } from './values.ts';
import { showToProducts } from './warpgroup-products.ts';

/** More pieces than this an invocation are written as a loop. */
const unrolledPieces = 4;

export function fillShared(emission: Emission, tile: Tile, value: TileExpression): void {
  if (tile.packed !== undefined) {
    const state = sharedState(emission, tile);
    putPacked(emission, state, packedValues(emission, state, value), undefined);
    if (emission.target === 'sm_90a') showToProducts(emission);
  } else if (tile.turned !== undefined) fillTurned(emission, tile, value);
  else if (tile.axes.some(({ over }) => isOverUnits(over)) || readsRegisters(emission, value))
    fillFromRegisters(emission, tile, value);
  else fillTogether(emission, tile, value);
  emission.barriers.written.add(tile.name);
  sharedState(emission, tile).version++;
}

function sharedState(emission: Emission, tile: Tile): TileState {
  const old = emission.tiles.get(tile.name);
  const fragment = tile.axes.map((axis) => axis.extent);
  const state: TileState = old ?? { tile, fragment, registers: [], mutable: true, version: 0 };
  emission.tiles.set(tile.name, state);
  return state;
}

function readsRegisters({ tiles }: Emission, value: TileExpression): boolean {
  return [...subexpressionsOf(value)].some(
    (each) => each.op === 'element' && tiles.get(each.tile)?.tile.space === 'register',
  );
}

/** Each invocation puts there what it has. */
function fillFromRegisters(emission: Emission, tile: Tile, value: TileExpression): void {
  for (const point of registerPoints(emission, createDomain(tile.axes))) {
    const place = sharedPlace(tile, point.coordinates);
    writeShared(emission, tile, 1, place, emit(emission, value, point), undefined);
  }
}

/** All invocations together compute a shared tile, each every n-th vector of it. */
function fillTogether(emission: Emission, tile: Tile, value: TileExpression): void {
  const { writer, program } = emission;
  const domain = createDomain(tile.axes);
  const extents = tile.axes.map((axis) => axis.extent);
  const elements = extents.reduce((total, extent) => total * extent, 1);
  const pieces = elements / domain.width;
  const invocations = program.threads.rows * program.threads.columns;
  const rounds = Math.ceil(pieces / invocations);
  if (tile.padding !== undefined) throw new Error(`${program.name} computes padded ${tile.name} together`);
  const readsItself = emission.tiles.has(tile.name) && sharedReads(emission, [value]).has(tile.name);
  sharedState(emission, tile);
  const { threads } = emission.places;
  if (rounds > unrolledPieces) {
    if (readsItself)
      throw new Error(
        `${program.name} updates the shared tile ${tile.name} from itself, with too few invocations`,
      );
    writer.loop(threads, literal(pieces, 'i32'), invocations, (piece) => {
      const place = linearValue(piece, { isNatural: true });
      const values = emit(emission, value, pointOf(emission, domain, place));
      writeShared(emission, tile, domain.width, times(place, domain.width), values, undefined);
    });
  } else {
    const places = Array.from({ length: rounds }, (_, round) =>
      plus(linearValue(threads, { isNatural: true }), linearConstant(round * invocations)),
    );
    const values = places.map((place) => emit(emission, value, pointOf(emission, domain, place)));
    if (readsItself) barrier(emission);
    for (const [round, place] of places.entries()) {
      const isFull = (round + 1) * invocations <= pieces;
      const guard = isFull
        ? undefined
        : writer.operation('setp.lt.s32', 'bool', [sumOf(writer, place), literal(pieces, 'i32')]);
      writeShared(emission, tile, domain.width, times(place, domain.width), values[round]!, guard);
    }
  }
}

/** The place of the n-th vector of a shared tile. */
function pointOf({ writer }: Emission, domain: Domain, piece: Sum): PointOf<Value> {
  const extents = domain.axes.map((axis) => axis.extent);
  const last = extents.length - 1;
  const steps = extents.map((extent, axis) => (axis === last ? extent / domain.width : extent));
  let rest = sumOf(writer, piece);
  const places: Sum[] = [];
  for (let axis = last; axis >= 0; axis--) {
    const extent = literal(steps[axis]!, 'u32');
    const place = axis === 0 ? rest : writer.operation('rem.u32', 'i32', [rest, extent]);
    places.unshift(times(linearValue(place, { isNatural: true }), axis === last ? domain.width : 1));
    if (axis > 0) rest = writer.operation('div.u32', 'i32', [rest, extent]);
  }
  return { domain, width: domain.width, coordinates: places, fragment: undefined };
}

function writeShared(
  emission: Emission,
  { name, dtype }: Tile,
  width: 1 | 4,
  place: Sum,
  values: Lanes,
  guard: Value | undefined,
): void {
  const { writer } = emission;
  const [at, displacement] = sharedAddress(emission, name, place);
  const texts = lanesFrom(width, (lane) => asWord(writer, dtype, laneOf(values, lane))).map(
    ({ text }) => text,
  );
  const from = texts.length === 1 ? texts[0] : `{${texts.join(', ')}}`;
  writer.effect(`st.shared${width === 4 ? '.v4' : ''}.b32 [${at.text}+${displacement}], ${from};`, guard);
}
