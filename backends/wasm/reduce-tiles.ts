/** Reduces a tile along its last axis, which every invocation has whole. */
import { widthOf } from '../../compiler/tiles/lanes.ts';
import type { StatementOf, Tile } from '../../compiler/tiles/tile-program.ts';
import { type Entry, inTree, merges, placesIn } from '../writing/reduction.ts';
import { type Emission, refuse, sharers, type TileState } from './emission.ts';
import { applyFunction } from './functions.ts';
import { declareTile, elementAt, tileState, vectorAt } from './tiles.ts';
import { component, compose, transpose, widen } from './values.ts';
import type { Value } from './writer.ts';

type Merge = (left: Entry<Value>, right: Entry<Value>) => Entry<Value>;

export function emitReduce(emission: Emission, statement: StatementOf<'reduce'>): void {
  const states = statement.from.map((name) => tileState(emission, name));
  const [source] = states;
  if (source === undefined) throw new Error(`${emission.program.name} reduces nothing`);
  if (sharers(emission, source.tile.axes.at(-1)!.over) > 1)
    throw refuse(emission, `reduces ${source.tile.name} over several invocations`);
  const merge: Merge = (left, right) =>
    merges[statement.combiner]((...of) => applyFunction(emission, ...of), left, right);
  const axes = source.tile.axes.slice(0, -1);
  const outer = placesIn(source.fragment.slice(0, -1));
  const width = widthOf(axes);
  const isTurned = width === 4 && states.length === 1 && source.width === 4;
  const results = isTurned
    ? fours(outer).map((four) => reduceFour(emission, source, four, merge))
    : outer.map((indices) => reduceOne(emission, states, indices, merge));
  for (const [at, name] of statement.into.entries()) {
    const tile: Tile = { name, dtype: states[at]!.tile.dtype, space: 'register', axes };
    const values = results.map((entry) => entry[at]!);
    const registers =
      isTurned || width === 1 ? values : fours(values).map((four) => compose(emission.writer, four));
    declareTile(emission, tile, registers);
  }
}

function fours<T>(list: readonly T[]): T[][] {
  return Array.from({ length: list.length / 4 }, (_, at) => list.slice(4 * at, 4 * at + 4));
}

/** Four rows of vectors to a vector of four results. */
function reduceFour(
  emission: Emission,
  state: TileState,
  rows: readonly (readonly number[])[],
  merge: Merge,
): Entry<Value> {
  const vectors = rows.map((indices) => alongRow(emission, state, indices, merge)[0]!);
  const turned = transpose(emission.writer, vectors).map((value): Entry<Value> => [value]);
  return inTree(turned, merge);
}

/** A row of vectors to one. */
function alongRow(
  emission: Emission,
  state: TileState,
  indices: readonly number[],
  merge: Merge,
): Entry<Value> {
  const count = state.fragment.at(-1)! / 4;
  // Four equal elements may be kept as one value, and a sum still has four terms of them.
  const entries = Array.from(
    { length: count },
    (_, at): Entry<Value> => [widen(emission.writer, vectorAt(emission, state, [...indices, 4 * at]), 4)],
  );
  return inTree(entries, merge);
}

function reduceOne(
  emission: Emission,
  states: readonly TileState[],
  indices: readonly number[],
  merge: Merge,
): Entry<Value> {
  const [state] = states;
  if (states.length === 1 && state!.width === 4) {
    const [vector] = alongRow(emission, state!, indices, merge);
    const parts = [0, 1, 2, 3].map((lane): Entry<Value> => [component(emission.writer, vector!, lane)]);
    return inTree(parts, merge);
  }
  const entries = Array.from(
    { length: state!.fragment.at(-1)! },
    (_, at): Entry<Value> => states.map((each) => elementAt(emission, each, [...indices, at])),
  );
  return inTree(entries, merge);
}
