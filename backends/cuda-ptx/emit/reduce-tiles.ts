/**
 * Reductions of a tile along its last axis: within an invocation, then over the invocations that share the
 * axis.
 */
import type { Arithmetic } from '../../../compiler/graph/graph.ts';
import { isOverUnits, spread } from '../../../compiler/tiles/tile-builder.ts';
import type { Spread, StatementOf, Tile, TileAxis } from '../../../compiler/tiles/tile-program.ts';
import { barrier } from '../../writing/barriers.ts';
import { linearConstant, linearValue, plus, times } from '../../writing/linear.ts';
import { type Entry, inTree, merges, placesIn } from '../../writing/reduction.ts';
import { type Emission, type Sum, sharers, tileState } from './emission.ts';
import { applyFunction } from './functions.ts';
import { declareRegisters } from './register-tiles.ts';
import { asWord, fromWord, readWords, sharedAddress } from './shared-memory.ts';
import { registerAt } from './tile-elements.ts';
import { lanesOfRow, unitCoordinate, warpSize, warpsAlong } from './units.ts';
import { literal, type Value } from './values.ts';
import { wordBytes } from './writer.ts';

export interface Own extends Value {
  readonly dtype: Arithmetic;
}

type Merge = (left: Entry<Own>, right: Entry<Own>) => Entry<Own>;

export function emitReduce(emission: Emission, statement: StatementOf<'reduce'>): void {
  const states = statement.from.map((name) => tileState(emission, name));
  const [source] = states;
  if (source === undefined) throw new Error(`${emission.program.name} reduces nothing`);
  const merge: Merge = (left, right) =>
    merges[statement.combiner](
      (name, dtype, operands) => ({ ...applyFunction(emission.writer, name, dtype, operands), dtype }),
      left,
      right,
    );
  const others = source.tile.axes.slice(0, -1);
  const { over } = source.tile.axes.at(-1)!;
  const extent = source.fragment.at(-1)!;
  const owns = placesIn(source.fragment.slice(0, -1)).map((indices) => {
    const entries = Array.from({ length: extent }, (_, at) =>
      states.map((state): Own => ({ ...registerAt(state, [...indices, at]), dtype: state.tile.dtype })),
    );
    return inTree<Entry<Own>>(entries, merge);
  });
  const results = statement.isOwn ? owns : together(emission, owns, over, others, merge);
  const count = statement.isOwn ? sharers(emission, over) : 1;
  const axes = statement.isOwn ? [...others, spread(count, over, count)] : others;
  for (const [at, name] of statement.into.entries()) {
    const tile: Tile = { name, dtype: states[at]!.tile.dtype, space: 'register', axes };
    declareRegisters(
      emission,
      tile,
      results.map((entry) => entry[at]!),
    );
  }
}

/** What the invocations that share an axis have together, of each of their results along the other axes. */
function together(
  emission: Emission,
  owns: readonly Entry<Own>[],
  over: Spread,
  axes: readonly TileAxis[],
  merge: Merge,
): readonly Entry<Own>[] {
  if (over === 'whole' || over === 'lanes' || sharers(emission, over) === 1) return owns;
  const lanes = lanesAlong(emission, over);
  if (isOverUnits(over)) {
    const ofWarps = owns.map((own) => overLanes(emission, own, lanes, merge));
    const isOfOne = 2 ** lanes.length === sharers(emission, over);
    return isOfOne ? ofWarps : overUnitWarps(emission, ofWarps, axes, merge);
  }
  if (lanes.length < 5 && 2 ** lanes.length !== sharers(emission, over))
    return owns.map((own) => overThreads(emission, own, over, merge));
  const ofWarps = owns.map((own) => overLanes(emission, own, lanes, merge));
  return 2 ** lanes.length === sharers(emission, over) ? ofWarps : overWarps(emission, ofWarps, over, merge);
}

/**
 * Which bits of a lane's number tell apart those of a warp that share an axis: none where not all of a warp
 * do, or warps are not whole.
 */
function lanesAlong({ program }: Emission, over: Exclude<Spread, 'whole' | 'lanes'>): readonly number[] {
  const { rows, columns } = program.threads;
  const threads = rows * columns;
  const bits = (count: number) => {
    const isPower = Number.isInteger(Math.log2(count));
    const isWhole = threads % warpSize === 0 || threads <= warpSize;
    if (!isWhole || (count > warpSize ? count % warpSize !== 0 : !isPower)) return [];
    return Array.from({ length: Math.log2(Math.min(count, warpSize)) }, (_, bit) => bit);
  };
  switch (over) {
    case 'columns':
      return bits(columns);
    case 'threads':
      return bits(threads);
    case 'unitColumns':
      return bits(lanesOfRow);
    case 'rows':
    case 'unitRows':
      return [];
  }
}

/** Each lane gets what it and those that differ in these bits have together. */
function overLanes(emission: Emission, own: Entry<Own>, bits: readonly number[], merge: Merge): Entry<Own> {
  const { writer, program } = emission;
  const threads = program.threads.rows * program.threads.columns;
  const present = threads >= warpSize ? '0xffffffff' : `${2 ** threads - 1}`;
  return bits.reduce<Entry<Own>>((entry, bit) => {
    const others = entry.map((value): Own => {
      const [word] = writer.compute(
        ['u32'],
        [asWord(writer, value.dtype, value)],
        ([result], [from]) => `shfl.sync.bfly.b32 ${result}, ${from}, ${2 ** bit}, 31, ${present};`,
        { fixed: true },
      );
      return { ...fromWord(writer, value.dtype, word!), dtype: value.dtype };
    });
    return merge(entry, others);
  }, own);
}

/** Results that warps tell each other at once: for more there might be no room. */
const mostTold = 16;

/** Over the warps of a row or of the workgroup, each of which has results: some at a time. */
function overWarps(
  emission: Emission,
  owns: readonly Entry<Own>[],
  over: 'rows' | 'columns' | 'threads',
  merge: Merge,
): readonly Entry<Own>[] {
  const { writer, program, places } = emission;
  const count = sharers(emission, over) / warpSize;
  const warps = (program.threads.rows * program.threads.columns) / warpSize;
  const number = writer.operation('shr.u32', 'i32', [places.threads, literal(Math.log2(warpSize), 'u32')]);
  const warp = linearValue(number, { isNatural: true });
  const lane = writer.operation('and.b32', 'i32', [places.threads, literal(warpSize - 1, 'u32')]);
  const isFirst = writer.operation('setp.eq.s32', 'bool', [lane, literal(0, 'i32')]);
  const row = over === 'columns' ? linearValue(places.rows, { isNatural: true }) : linearConstant(0);
  const told = (some: readonly Entry<Own>[]) => {
    const arrays = scratchFor(emission, some[0]!, some.length * warps);
    barrier(emission);
    for (const [at, own] of some.entries())
      putScratch(emission, arrays, plus(warp, linearConstant(at * warps)), own, isFirst);
    barrier(emission);
    return some.map((own, at) => {
      const start = plus(times(row, count), linearConstant(at * warps));
      const entries = Array.from({ length: count }, (_, other) =>
        readScratch(emission, arrays, own, plus(start, linearConstant(other))),
      );
      return inTree(entries, merge);
    });
  };
  return Array.from({ length: Math.ceil(owns.length / mostTold) }, (_, turn) =>
    told(owns.slice(turn * mostTold, (turn + 1) * mostTold)),
  ).flat();
}

/**
 * Over the warps of a row of warps, which have the same rows of a tile: the first of four lanes with a row
 * tells the others what its warp has of it, for all rows at once.
 */
function overUnitWarps(
  emission: Emission,
  owns: readonly Entry<Own>[],
  axes: readonly TileAxis[],
  merge: Merge,
): readonly Entry<Own>[] {
  const { writer, program, unit } = emission;
  const [rows] = axes;
  if (rows?.over !== 'unitRows' || axes.length !== 1)
    throw new Error(`${program.name} reduces along columns of warps what is not rows of warps`);
  const count = warpsAlong(emission, 'unitColumns');
  const arrays = scratchFor(emission, owns[0]!, rows.extent * count);
  const placeOf = (at: number) => times(unitCoordinate(emission, { ...rows, over: 'unitRows' }, at), count);
  const place = writer.operation('and.b32', 'u32', [unit.lane, literal(lanesOfRow - 1, 'u32')]);
  const isFirst = writer.operation('setp.eq.u32', 'bool', [place, literal(0, 'u32')]);
  const warp = linearValue(unit.warpColumn, { isNatural: true });
  barrier(emission);
  for (const [at, own] of owns.entries()) putScratch(emission, arrays, plus(placeOf(at), warp), own, isFirst);
  barrier(emission);
  return owns.map((own, at) => {
    const entries = Array.from({ length: count }, (_, other) =>
      readScratch(emission, arrays, own, plus(placeOf(at), linearConstant(other))),
    );
    return inTree(entries, merge);
  });
}

/** Arrays of so many elements for the parts of an entry. */
export function scratchFor({ shared }: Emission, own: Entry<Own>, count: number): readonly string[] {
  return own.map(({ dtype }, part) => {
    const name = `scratch_${dtype}_${part}_${count}`;
    shared.reserve(name, count * wordBytes);
    return name;
  });
}

export function readScratch(
  emission: Emission,
  arrays: readonly string[],
  own: Entry<Own>,
  place: Sum,
): Entry<Own> {
  return own.map(({ dtype }, part) => {
    const [word] = readWords(emission, arrays[part]!, place, 1, `@${emission.scratchVersion}`);
    return { ...fromWord(emission.writer, dtype, word!), dtype };
  });
}

export function putScratch(
  emission: Emission,
  arrays: readonly string[],
  place: Sum,
  entry: Entry<Own>,
  guard: Value | undefined,
): void {
  const { writer } = emission;
  for (const [part, value] of entry.entries()) {
    const word = asWord(writer, value.dtype, value);
    const [address, behind] = sharedAddress(emission, arrays[part]!, place);
    writer.effect(`st.shared.b32 [${address.text}+${behind}], ${word.text};`, guard);
  }
  emission.scratchVersion++;
}

/** Over the invocations of a row, of a column or of the workgroup, in a tree through shared memory. */
function overThreads(
  emission: Emission,
  own: Entry<Own>,
  over: 'rows' | 'columns' | 'threads',
  merge: Merge,
): Entry<Own> {
  const { writer, program, places } = emission;
  const { rows, columns } = program.threads;
  const count = sharers(emission, over);
  const stride = over === 'rows' ? columns : 1;
  const thread = linearValue(places.threads, { isNatural: true });
  const arrays = scratchFor(emission, own, rows * columns);
  const at = (place: Sum) => readScratch(emission, arrays, own, place);
  const put = (entry: Entry<Own>) => putScratch(emission, arrays, thread, entry, undefined);
  barrier(emission);
  put(own);
  for (let width = 2 ** Math.ceil(Math.log2(count)) / 2; width >= 1; width /= 2) {
    barrier(emission);
    const bound = Math.min(width, count - width);
    if (bound <= 0) continue;
    const isNear = writer.operation('setp.lt.s32', 'bool', [places[over], literal(bound, 'i32')]);
    writer.when(isNear, false, () =>
      put(merge(at(thread), at(plus(thread, linearConstant(width * stride))))),
    );
  }
  barrier(emission);
  const along = linearValue(places[over], { isNatural: true });
  return at(plus(thread, times(along, -stride)));
}
