/** Reduces a tile along its last axis, which every invocation has whole. */
import type { Combiner } from '../../compiler/graph/graph.ts';
import { widthOf } from '../../compiler/tiles/lanes.ts';
import type { Tile, TileStatement } from '../../compiler/tiles/tile-program.ts';
import { type Emission, refuse, sharers, type TileState } from './emission.ts';
import { applyFunction } from './functions.ts';
import { declareTile, elementAt, tileState, vectorAt } from './tiles.ts';
import { component, compose, transpose, widen } from './values.ts';
import type { Value } from './writer.ts';

/** One value, or a value and its position. */
type Entry = readonly Value[];

type Merge = (emission: Emission, left: Entry, right: Entry) => Entry;

const byFunction =
  (name: 'add' | 'mul' | 'max' | 'min' | 'or' | 'and'): Merge =>
  (emission, [left], [right]) => [applyFunction(emission, name, left!.dtype, [left!, right!])];

/** The better value with its position; of equals the lower position. */
const byPosition =
  (better: 'greater' | 'less'): Merge =>
  (emission, [value, position], [otherValue, otherPosition]) => {
    const run = (name: 'lt' | 'eq' | 'and' | 'or', left: Value, right: Value) =>
      applyFunction(emission, name, 'bool', [left, right]);
    const isBetter = better === 'greater' ? run('lt', value!, otherValue!) : run('lt', otherValue!, value!);
    const isEarlier = run('and', run('eq', otherValue!, value!), run('lt', otherPosition!, position!));
    const takesOther = run('or', isBetter, isEarlier);
    const pick = (mine: Value, other: Value) =>
      applyFunction(emission, 'select', mine.dtype, [takesOther, other, mine]);
    return [pick(value!, otherValue!), pick(position!, otherPosition!)];
  };

const merges: { readonly [C in Combiner]: Merge } = {
  sum: byFunction('add'),
  prod: byFunction('mul'),
  max: byFunction('max'),
  min: byFunction('min'),
  any: byFunction('or'),
  all: byFunction('and'),
  argmax: byPosition('greater'),
  argmin: byPosition('less'),
};

export function emitReduce(emission: Emission, statement: TileStatement & { readonly kind: 'reduce' }): void {
  const states = statement.from.map((name) => tileState(emission, name));
  const [source] = states;
  if (source === undefined) throw new Error(`${emission.program.name} reduces nothing`);
  if (sharers(emission, source.tile.axes.at(-1)!.over) > 1)
    throw refuse(emission, `reduces ${source.tile.name} over several invocations`);
  const merge = merges[statement.combiner];
  const axes = source.tile.axes.slice(0, -1);
  const outer = outerIndices(source);
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

/** The places of an invocation's elements along all axes but the last. */
function outerIndices(state: TileState): number[][] {
  return state.fragment
    .slice(0, -1)
    .reduce<number[][]>(
      (places, extent) =>
        places.flatMap((place) => Array.from({ length: extent }, (_, at) => [...place, at])),
      [[]],
    );
}

/** Four rows of vectors to a vector of four results. */
function reduceFour(
  emission: Emission,
  state: TileState,
  rows: readonly (readonly number[])[],
  merge: Merge,
): Entry {
  const vectors = rows.map((indices) => alongRow(emission, state, indices, merge)[0]!);
  const turned = transpose(emission.writer, vectors).map((value): Entry => [value]);
  return tree(turned, (left, right) => merge(emission, left, right));
}

/** A row of vectors to one. */
function alongRow(emission: Emission, state: TileState, indices: readonly number[], merge: Merge): Entry {
  const count = state.fragment.at(-1)! / 4;
  // Four equal elements may be kept as one value, and a sum still has four terms of them.
  const entries = Array.from(
    { length: count },
    (_, at): Entry => [widen(emission.writer, vectorAt(emission, state, [...indices, 4 * at]), 4)],
  );
  return tree(entries, (left, right) => merge(emission, left, right));
}

function reduceOne(
  emission: Emission,
  states: readonly TileState[],
  indices: readonly number[],
  merge: Merge,
): Entry {
  const [state] = states;
  const combine = (left: Entry, right: Entry) => merge(emission, left, right);
  if (states.length === 1 && state!.width === 4) {
    const [vector] = alongRow(emission, state!, indices, merge);
    const parts = [0, 1, 2, 3].map((lane): Entry => [component(emission.writer, vector!, lane)]);
    return tree(parts, combine);
  }
  const entries = Array.from(
    { length: state!.fragment.at(-1)! },
    (_, at): Entry => states.map((each) => elementAt(emission, each, [...indices, at])),
  );
  return tree(entries, combine);
}

/** Neighbours first: the order that loses least in a sum. */
function tree<T>(entries: readonly T[], merge: (left: T, right: T) => T): T {
  if (entries.length === 1) return entries[0]!;
  const half = Math.ceil(entries.length / 2);
  return merge(tree(entries.slice(0, half), merge), tree(entries.slice(half), merge));
}
