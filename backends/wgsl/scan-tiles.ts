/**
 * Prefix reductions of a tile along a run: each invocation goes through its own elements, and what they have
 * before them is found in workgroup memory, in as many steps as there are bits in the number of those that
 * share the run (Hillis and Steele, 1986).
 */
import { identityOf } from '../../compiler/tiles/combiners.ts';
import { createDomain } from '../../compiler/tiles/lanes.ts';
import type { StatementOf, Tile, TileAxis } from '../../compiler/tiles/tile-program.ts';
import { barrier } from '../writing/barriers.ts';
import { merges, placesIn } from '../writing/reduction.ts';
import { type Shared, scanRuns } from '../writing/scan.ts';
import { type Emission, invocationIndex, sharers } from './emission.ts';
import { emit } from './expressions.ts';
import { bumpScratch, registersOf, scratch, versionValue } from './reduce-tiles.ts';
import { declareRegisters } from './register-tiles.ts';
import { registerAt, tileState } from './tile-elements.ts';
import { applyFunction } from './values.ts';
import type { Value } from './writer.ts';

type Merge = (left: Value, right: Value) => Value;

export function emitScan(emission: Emission, statement: StatementOf<'scan'>): void {
  const { from, into, total, combiner } = statement;
  const state = tileState(emission, from);
  const { axes, dtype } = state.tile;
  const merge: Merge = (left, right) =>
    merges[combiner]((...of) => applyFunction(emission, ...of), [left], [right])[0]!;
  const point = { domain: createDomain([], 1), width: 1, coordinates: [], fragment: [] } as const;
  const identity = emit(emission, identityOf(combiner, dtype), point);
  const [rows = 1, ...inner] = state.fragment;
  const scans = Array.from({ length: rows }, (_, row) => {
    const runs = placesIn(inner.slice(0, -1)).map((between) =>
      Array.from({ length: inner.at(-1)! }, (_, at) =>
        registerAt(emission, state, [row, ...between, at], at),
      ),
    );
    return scanRuns(runs, merge, (owns) => shareRuns(emission, owns, axes.at(-1)!, merge, identity));
  });
  const declare = (name: string, along: readonly TileAxis[], values: readonly Value[]) => {
    const tile: Tile = { name, dtype, space: 'register', axes: along };
    declareRegisters(emission, tile, registersOf(emission, tile, values));
  };
  const values = scans.flatMap((scanned) => scanned.values);
  declare(into, axes, values);
  declare(
    total,
    axes.slice(0, 1),
    scans.map((scanned) => scanned.total),
  );
}

/** Undefined where an invocation has all of the axis. */
function shareRuns(
  emission: Emission,
  owns: readonly Value[],
  { over }: TileAxis,
  merge: Merge,
  identity: Value,
): readonly Shared<Value>[] | undefined {
  const { writer, program } = emission;
  if (over === 'whole') return undefined;
  if (over !== 'columns' && over !== 'threads') throw new Error(`${program.name} scans along ${over}`);
  const count = sharers(over, program.threads, undefined);
  const threads = program.threads.rows * program.threads.columns;
  const { dtype } = owns[0]!;
  const own = invocationIndex(emission, 'threads');
  const along = invocationIndex(emission, over);
  // One is read and the other written, in turns: a barrier is enough for each step.
  const sides = [0, 1].map((side) => scratch(emission, dtype, owns.length * threads, `scan_${side}`));
  const put = (side: number, values: readonly Value[]) => {
    for (const [run, { text }] of values.entries())
      writer.statement(`${sides[side]}[thread + ${run * threads}] = ${text};`);
    bumpScratch(emission);
    barrier(emission);
  };
  const read = (side: number, run: number, place: Value) =>
    writer.compute(
      ...([dtype, 1, [place, versionValue(emission)]] as const),
      ([at, version]) => `${sides[side]}${version}[${at} + ${run * threads}]`,
      { fixed: true },
    );
  const where = (condition: Value, value: Value, otherwise: Value) =>
    applyFunction(emission, 'select', dtype, [condition, value, otherwise]);
  barrier(emission);
  put(0, owns);
  let [side, upTo] = [0, owns];
  for (let width = 1; width < count; width *= 2) {
    const isBehind = writer.compute('bool', 1, [along], ([place]) => `${place} >= ${width}`);
    const other = writer.compute('i32', 1, [own], ([thread]) => `max(${thread} - ${width}, 0)`);
    upTo = upTo.map((value, run) => where(isBehind, merge(read(side, run, other), value), value));
    side = 1 - side;
    put(side, upTo);
  }
  const isFirst = writer.compute('bool', 1, [along], ([place]) => `${place} == 0`);
  const before = writer.compute('i32', 1, [own], ([thread]) => `max(${thread} - 1, 0)`);
  const last = writer.compute(
    ...(['i32', 1, [own, along]] as const),
    ([thread, place]) => `${thread} - ${place} + ${count - 1}`,
  );
  return owns.map((_, run) => ({
    before: where(isFirst, identity, read(side, run, before)),
    total: read(side, run, last),
  }));
}
