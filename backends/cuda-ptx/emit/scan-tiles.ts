/**
 * Prefix reductions of a tile along a run: each invocation goes through its own elements, the lanes of a warp
 * tell each other what they have, in as many steps as there are bits in their number, and warps tell each
 * other through shared memory.
 */
import { identityValue } from '../../../compiler/tiles/combiners.ts';
import type { StatementOf, Tile, TileAxis } from '../../../compiler/tiles/tile-program.ts';
import { barrier } from '../../writing/barriers.ts';
import { linearConstant, linearValue, plus, times } from '../../writing/linear.ts';
import { merges, placesIn } from '../../writing/reduction.ts';
import { type Shared, scanRuns } from '../../writing/scan.ts';
import { type Emission, sharers, tileState } from './emission.ts';
import { applyFunction } from './functions.ts';
import { type Own, putScratch, readScratch, scratchFor } from './reduce-tiles.ts';
import { declareRegisters } from './register-tiles.ts';
import { asWord, fromWord } from './shared-memory.ts';
import { registerAt } from './tile-elements.ts';
import { warpSize } from './units.ts';
import { literal, type Value } from './values.ts';

/** How values are put together, and what changes none. */
interface Merging {
  readonly merge: (left: Own, right: Own) => Own;
  readonly identity: Own;
}

export function emitScan(emission: Emission, statement: StatementOf<'scan'>): void {
  const { from, into, total, combiner } = statement;
  const state = tileState(emission, from);
  const { axes, dtype } = state.tile;
  const merging: Merging = {
    merge: (left, right) =>
      merges[combiner](
        (name, type, operands) => ({ ...applyFunction(emission.writer, name, type, operands), dtype: type }),
        [left],
        [right],
      )[0]!,
    identity: { ...literal(identityValue(combiner, dtype), dtype), dtype },
  };
  const [rows = 1, ...inner] = state.fragment;
  const scans = Array.from({ length: rows }, (_, row) => {
    const runs = placesIn(inner.slice(0, -1)).map((between) =>
      Array.from(
        { length: inner.at(-1)! },
        (_, at): Own => ({ ...registerAt(state, [row, ...between, at]), dtype }),
      ),
    );
    return scanRuns(runs, merging.merge, (owns) => shareRuns(emission, owns, axes.at(-1)!, merging));
  });
  const tileOf = (name: string, along: readonly TileAxis[]): Tile => ({
    ...{ name, dtype, space: 'register', axes: along },
  });
  const values = scans.flatMap((scanned) => scanned.values);
  declareRegisters(emission, tileOf(into, axes), values);
  const totals = scans.map((scanned) => scanned.total);
  declareRegisters(emission, tileOf(total, axes.slice(0, 1)), totals);
}

/** Undefined where an invocation has all of the axis. */
function shareRuns(
  emission: Emission,
  owns: readonly Own[],
  { over }: TileAxis,
  merging: Merging,
): readonly Shared<Own>[] | undefined {
  const { writer, program, places } = emission;
  if (over === 'whole') return undefined;
  const count = sharers(emission, over);
  if ((over !== 'columns' && over !== 'threads') || !Number.isInteger(Math.log2(count)))
    throw new Error(`${program.name} scans along ${count} ${over}`);
  if (count === 1) return undefined;
  const lanes = Math.min(count, warpSize);
  const lane = writer.operation('and.b32', 'u32', [places.threads, literal(lanes - 1, 'u32')]);
  const inclusive = owns.map((own) => overLanes(emission, own, lane, lanes, merging));
  const isFirst = writer.operation('setp.eq.u32', 'bool', [lane, literal(0, 'u32')]);
  const exclusive = inclusive.map((own) =>
    where(emission, isFirst, merging.identity, shuffled(emission, 'up', own, 1, lanes)),
  );
  if (count > warpSize) return overWarps(emission, inclusive, exclusive, over, merging);
  return inclusive.map((own, run) => ({
    before: exclusive[run]!,
    total: shuffled(emission, 'idx', own, lanes - 1, lanes),
  }));
}

function where({ writer }: Emission, condition: Value, value: Own, otherwise: Own): Own {
  const { dtype } = value;
  return { ...applyFunction(writer, 'select', dtype, [condition, value, otherwise]), dtype };
}

/** What another lane of its segment of so many has: so many before it, or the one at that place. */
function shuffled(
  { writer, program }: Emission,
  mode: 'up' | 'idx',
  own: Own,
  by: number,
  lanes: number,
): Own {
  const threads = program.threads.rows * program.threads.columns;
  const present = threads >= warpSize ? '0xffffffff' : `${2 ** threads - 1}`;
  const segment = ((warpSize - lanes) << 8) | (mode === 'up' ? 0 : warpSize - 1);
  const [word] = writer.compute(
    ['u32'],
    [asWord(writer, own.dtype, own)],
    ([result], [from]) => `shfl.sync.${mode}.b32 ${result}, ${from}, ${by}, ${segment}, ${present};`,
    { fixed: true },
  );
  return { ...fromWord(writer, own.dtype, word!), dtype: own.dtype };
}

/** What a lane and those before it have. */
function overLanes(emission: Emission, own: Own, lane: Value, lanes: number, { merge }: Merging): Own {
  const { writer } = emission;
  let upTo = own;
  for (let width = 1; width < lanes; width *= 2) {
    const isBehind = writer.operation('setp.ge.u32', 'bool', [lane, literal(width, 'u32')]);
    upTo = where(emission, isBehind, merge(shuffled(emission, 'up', upTo, width, lanes), upTo), upTo);
  }
  return upTo;
}

/** The last lane of each warp tells the others of its row what the warp has of each run. */
function overWarps(
  emission: Emission,
  inclusive: readonly Own[],
  exclusive: readonly Own[],
  over: 'columns' | 'threads',
  { merge, identity }: Merging,
): readonly Shared<Own>[] {
  const { writer, program, places } = emission;
  const warps = sharers(emission, over) / warpSize;
  const all = (program.threads.rows * program.threads.columns) / warpSize;
  const shift = literal(Math.log2(warpSize), 'u32');
  const number = linearValue(writer.operation('shr.u32', 'i32', [places.threads, shift]), {
    isNatural: true,
  });
  const own = writer.operation('shr.u32', 'u32', [places[over], shift]);
  const lane = writer.operation('and.b32', 'u32', [places.threads, literal(warpSize - 1, 'u32')]);
  const isLast = writer.operation('setp.eq.u32', 'bool', [lane, literal(warpSize - 1, 'u32')]);
  const row = over === 'columns' ? linearValue(places.rows, { isNatural: true }) : linearConstant(0);
  const arrays = scratchFor(emission, [identity], inclusive.length * all);
  barrier(emission);
  for (const [run, value] of inclusive.entries())
    putScratch(emission, arrays, plus(number, linearConstant(run * all)), [value], isLast);
  barrier(emission);
  return exclusive.map((ofLanes, run) => {
    const start = plus(times(row, warps), linearConstant(run * all));
    let [before, total] = [identity, identity];
    for (let warp = 0; warp < warps; warp++) {
      const isOwn = writer.operation('setp.eq.u32', 'bool', [own, literal(warp, 'u32')]);
      before = where(emission, isOwn, total, before);
      const [next] = readScratch(emission, arrays, [identity], plus(start, linearConstant(warp)));
      total = merge(total, next!);
    }
    return { before: merge(before, ofLanes), total };
  });
}
