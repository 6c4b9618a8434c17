/**
 * Reductions of a tile along its last axis: within an invocation, then over the invocations that share the
 * axis.
 */
import type { Arithmetic, Combiner } from '../../compiler/graph/graph.ts';
import { widthOf } from '../../compiler/tiles/lanes.ts';
import { isOverUnits } from '../../compiler/tiles/tile-builder.ts';
import type { StatementOf, Tile } from '../../compiler/tiles/tile-program.ts';
import { barrier } from '../writing/barriers.ts';
import { type Entry, inTree, merges, placesIn } from '../writing/reduction.ts';
import { type Emission, helper, invocationIndex, sharers, type TileState } from './emission.ts';
import { declareRegisters } from './register-tiles.ts';
import { registerAt, tileState } from './tile-elements.ts';
import { applyFunction, compose, runtimeFloat, widen } from './values.ts';
import type { Value } from './writer.ts';

type Merge = (left: Entry<Value>, right: Entry<Value>) => Entry<Value>;

export function emitReduce(emission: Emission, statement: StatementOf<'reduce'>): void {
  const states = statement.from.map((name) => tileState(emission, name));
  const [source] = states;
  if (source === undefined) throw new Error(`${emission.program.name} reduces nothing`);
  const merge: Merge = (left, right) =>
    merges[statement.combiner]((...of) => applyFunction(emission, ...of), left, right);
  const axes = source.tile.axes.slice(0, -1);
  const reduced = source.tile.axes.at(-1)!;
  const { over } = reduced;
  const count = sharers(over, emission.program.threads, emission.subgroupSize);
  const builtin = isOneSubgroup(emission, count) ? subgroupBuiltins[statement.combiner] : undefined;
  const results = placesIn(source.fragment.slice(0, -1)).map((indices) => {
    const local = reduceLocally(emission, states, indices, merge);
    if (over === 'whole' || isOverUnits(over) || count === 1) return local;
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

/** As a tile has its elements: vectors of four where it has such. */
export function registersOf(emission: Emission, tile: Tile, values: readonly Value[]): Value[] {
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
): Entry<Value> {
  const extent = states[0]!.fragment.at(-1)!;
  const isVector = states.length === 1 && states[0]!.width === 4;
  const step = isVector ? 4 : 1;
  const entries: Entry<Value>[] = [];
  for (let at = 0; at < extent; at += step)
    entries.push(
      states.map((state) =>
        // Four equal elements may be kept as one value, and a sum still has four terms of them.
        isVector
          ? widen(emission, registerAt(emission, state, [...indices, at], undefined), 4)
          : registerAt(emission, state, [...indices, at], at),
      ),
    );
  const total = inTree(entries, merge);
  const [value] = total;
  if (value?.width !== 4) return total;
  const parts = [0, 1, 2, 3].map((lane): Entry<Value> => [componentOf(value, lane)]);
  return inTree(parts, merge);
}

function componentOf(value: Value, lane: number): Value {
  const part = 'xyzw'[lane]!;
  return { ...value, text: `${value.text}.${part}`, key: `${value.key}.${part}`, width: 1 };
}

/** Over the invocations of a row, of a column or of the workgroup, in a tree through workgroup memory. */
function reduceAcross(
  emission: Emission,
  local: Entry<Value>,
  over: 'rows' | 'columns' | 'threads' | 'lanes',
  merge: Merge,
): Entry<Value> {
  const { writer, program } = emission;
  const { rows, columns } = program.threads;
  if (over === 'lanes') throw new Error(`${program.name} reduces along lanes`);
  const count = sharers(over, program.threads, undefined);
  const stride = over === 'rows' ? columns : 1;
  const own = invocationIndex(emission, 'threads');
  const along = invocationIndex(emission, over);
  const arrays = local.map((value, at) => scratch(emission, value.dtype, rows * columns, at));
  const at = (offset: number): Entry<Value> =>
    local.map((value, part) =>
      writer.compute(
        value.dtype,
        1,
        [own, versionValue(emission)],
        ([thread, version]) => `${arrays[part]}${version}[${thread} + ${offset * stride}]`,
        { fixed: true },
      ),
    );
  const put = (entry: Entry<Value>) => {
    for (const [part, value] of entry.entries()) writer.statement(`${arrays[part]}[thread] = ${value.text};`);
    bumpScratch(emission);
  };
  barrier(emission);
  put(local);
  for (let width = 2 ** Math.ceil(Math.log2(count)) / 2; width >= 1; width /= 2) {
    barrier(emission);
    const bound = Math.min(width, count - width);
    if (bound <= 0) continue;
    writer.block(`if (${along.text} < ${bound})`, () => put(merge(at(0), at(width))));
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

/** An array in workgroup memory; `part` tells apart those that are used together. */
export function scratch(emission: Emission, dtype: Arithmetic, size: number, part: number | string): string {
  const name = `scratch_${dtype}_${part}`;
  emission.scratch.set(name, { name, dtype, width: 1, count: size });
  return name;
}

const scratchVersions = new WeakMap<Emission, number>();

export function bumpScratch(emission: Emission): void {
  scratchVersions.set(emission, (scratchVersions.get(emission) ?? 0) + 1);
}

/** In a key only: what is read from workgroup memory changes with each write. */
export function versionValue(emission: Emission): Value {
  const key = `@${scratchVersions.get(emission) ?? 0}`;
  return { text: '', key, dtype: 'u32', width: 1, depth: 0 };
}
