/**
 * Reductions of a tile along its last axis: within an invocation, then over the invocations that share the
 * axis.
 */
import type { Arithmetic, Combiner } from '../../compiler/graph/graph.ts';
import { widthOf } from '../../compiler/tiles/lanes.ts';
import type { Tile, TileStatement } from '../../compiler/tiles/tile-program.ts';
import { barrier } from './barriers.ts';
import { type Emission, helper, invocationIndex, sharers, type TileState } from './emission.ts';
import { declareRegisters } from './register-tiles.ts';
import { registerAt, tileState } from './tile-elements.ts';
import { applyFunction, compose, runtimeFloat, widen } from './values.ts';
import type { Value } from './writer.ts';

/** One value, or a value and its position. */
type Entry = readonly Value[];

type Merge = (emission: Emission, left: Entry, right: Entry) => Entry;

const byFunction =
  (name: 'add' | 'mul' | 'max' | 'min' | 'or' | 'and'): Merge =>
  (emission, [left], [right]) => [applyFunction(emission, name, left!.dtype, [left!, right!])];

/** The better value with its position; of equals the lower position. */
const byPosition =
  (better: '>' | '<'): Merge =>
  (emission, [value, position], [otherValue, otherPosition]) => {
    const takesOther = emission.writer.compute(
      'bool',
      1,
      [value!, position!, otherValue!, otherPosition!],
      ([a, i, b, j]) => `(${b} ${better} ${a}) | ((${b} == ${a}) & (${j} < ${i}))`,
    );
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
  argmax: byPosition('>'),
  argmin: byPosition('<'),
};

export function emitReduce(emission: Emission, statement: TileStatement & { readonly kind: 'reduce' }): void {
  const states = statement.from.map((name) => tileState(emission, name));
  const [source] = states;
  if (source === undefined) throw new Error(`${emission.program.name} reduces nothing`);
  const merge = merges[statement.combiner];
  const axes = source.tile.axes.slice(0, -1);
  const reduced = source.tile.axes.at(-1)!;
  const { over } = reduced;
  const count = sharers(over, emission.program.threads, emission.subgroupSize);
  const builtin = isOneSubgroup(emission, count) ? subgroupBuiltins[statement.combiner] : undefined;
  const results = outerIndices(source).map((indices) => {
    const local = reduceLocally(emission, states, indices, merge);
    if (over === 'whole' || count === 1) return local;
    return builtin === undefined
      ? reduceAcross(emission, local, over, merge)
      : [reduceSubgroup(emission, builtin, local[0]!)];
  });
  for (const [at, name] of statement.into.entries()) {
    const tile: Tile = { name, dtype: states[at]!.tile.dtype, space: 'register', axes };
    declareRegisters(
      emission,
      tile,
      registersOf(
        emission,
        tile,
        results.map((entry) => entry[at]!),
      ),
    );
  }
}

/** Reductions over a subgroup that WGSL has, of floats and integers. */
const subgroupBuiltins: { readonly [C in Combiner]: string | undefined } = {
  sum: 'subgroupAdd',
  prod: 'subgroupMul',
  max: 'subgroupMax',
  min: 'subgroupMin',
  any: undefined,
  all: undefined,
  argmax: undefined,
  argmin: undefined,
};

/**
 * Whether the `count` invocations are a subgroup, whichever way the device deals them out: they are the
 * workgroup.
 */
function isOneSubgroup({ program, subgroupSize }: Emission, count: number): boolean {
  return count === subgroupSize && program.threads.rows * program.threads.columns === count;
}

function reduceSubgroup(emission: Emission, builtin: string, value: Value): Value {
  emission.usesSubgroups = true;
  const { writer } = emission;
  const found = writer.compute(value.dtype, 1, [value], ([text]) => `${builtin}(${text})`);
  if (value.dtype !== 'f32' || (builtin !== 'subgroupMax' && builtin !== 'subgroupMin')) return found;
  // They may leave out the lanes that have NaN.
  const isNan = helper(emission, 'is_nan', 1);
  const someNaN = writer.compute('bool', 1, [value], ([text]) => `subgroupAny(${isNan}(${text}))`);
  return applyFunction(emission, 'select', 'f32', [someNaN, runtimeFloat(emission, Number.NaN), found]);
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

function registersOf(emission: Emission, tile: Tile, values: readonly Value[]): Value[] {
  if (widthOf(tile.axes) === 1) return [...values];
  return Array.from({ length: values.length / 4 }, (_, at) =>
    compose(emission, values.slice(4 * at, 4 * at + 4)),
  );
}

function reduceLocally(
  emission: Emission,
  states: readonly TileState[],
  indices: readonly number[],
  merge: Merge,
): Entry {
  const extent = states[0]!.fragment.at(-1)!;
  const isVector = states.length === 1 && states[0]!.width === 4;
  const step = isVector ? 4 : 1;
  const entries: Entry[] = [];
  for (let at = 0; at < extent; at += step)
    entries.push(
      states.map((state) =>
        // Four equal elements may be kept as one value, and a sum still has four terms of them.
        isVector
          ? widen(emission, registerAt(emission, state, [...indices, at], undefined), 4)
          : registerAt(emission, state, [...indices, at], at),
      ),
    );
  const total = tree(entries, (left, right) => merge(emission, left, right));
  const [value] = total;
  if (value?.width !== 4) return total;
  const parts = [0, 1, 2, 3].map((lane): Entry => [componentOf(value, lane)]);
  return tree(parts, (left, right) => merge(emission, left, right));
}

function componentOf(value: Value, lane: number): Value {
  const part = 'xyzw'[lane]!;
  return { ...value, text: `${value.text}.${part}`, key: `${value.key}.${part}`, width: 1 };
}

/** Neighbours first: the order that loses least in a sum. */
function tree<T>(entries: readonly T[], merge: (left: T, right: T) => T): T {
  if (entries.length === 1) return entries[0]!;
  const half = Math.ceil(entries.length / 2);
  return merge(tree(entries.slice(0, half), merge), tree(entries.slice(half), merge));
}

/** Over the invocations of a row, of a column or of the workgroup, in a tree through workgroup memory. */
function reduceAcross(
  emission: Emission,
  local: Entry,
  over: 'rows' | 'columns' | 'threads' | 'lanes',
  merge: Merge,
): Entry {
  const { writer, program } = emission;
  const { rows, columns } = program.threads;
  if (over === 'lanes') throw new Error(`${program.name} reduces along lanes`);
  const count = sharers(over, program.threads, undefined);
  const stride = over === 'rows' ? columns : 1;
  const own = invocationIndex(emission, 'threads');
  const along = invocationIndex(emission, over);
  const arrays = local.map((value, at) => scratch(emission, value.dtype, rows * columns, at));
  const at = (offset: number): Entry =>
    local.map((value, part) =>
      writer.compute(
        value.dtype,
        1,
        [own, versionValue(emission)],
        ([thread, version]) => `${arrays[part]}${version}[${thread} + ${offset * stride}]`,
        { fixed: true },
      ),
    );
  const put = (entry: Entry) => {
    for (const [part, value] of entry.entries()) writer.statement(`${arrays[part]}[thread] = ${value.text};`);
    bumpScratch(emission);
  };
  barrier(emission);
  put(local);
  for (let width = 2 ** Math.ceil(Math.log2(count)) / 2; width >= 1; width /= 2) {
    barrier(emission);
    const bound = Math.min(width, count - width);
    if (bound <= 0) continue;
    writer.block(`if (${along.text} < ${bound})`, () => put(merge(emission, at(0), at(width))));
  }
  barrier(emission);
  const firstPlace = writer.compute('i32', 1, [own, along], ([thread, place]) =>
    stride === 1 ? `${thread} - ${place}` : `${thread} - ${place} * ${stride}`,
  );
  return local.map((value, part) =>
    writer.compute(
      value.dtype,
      1,
      [firstPlace, versionValue(emission)],
      ([place, version]) => `${arrays[part]}${version}[${place}]`,
      { fixed: true },
    ),
  );
}

function scratch(emission: Emission, dtype: Arithmetic, size: number, part: number): string {
  const name = `scratch_${dtype}_${part}`;
  emission.scratch.set(name, { name, dtype, width: 1, count: size });
  return name;
}

const scratchVersions = new WeakMap<Emission, number>();

function bumpScratch(emission: Emission): void {
  scratchVersions.set(emission, (scratchVersions.get(emission) ?? 0) + 1);
}

/** In a key only: what is read from workgroup memory changes with each write. */
function versionValue(emission: Emission): Value {
  const key = `@${scratchVersions.get(emission) ?? 0}`;
  return { text: '', key, dtype: 'u32', width: 1, depth: 0 };
}
