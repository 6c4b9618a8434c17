/** How reductions may be run: along neighbours, across them, or in two. */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import { isPositional } from '../combiners.ts';
import type { Core, DeviceProfile } from '../device-profile.ts';
import { ratesOf } from '../device-rates.ts';
import type { ReductionProblem } from '../schedules/reduction.ts';
import { splitAxis } from '../schedules/split-reduction.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, powerFor, powersTo } from './choosing.ts';
import { chunkWithinPages } from './pages.ts';

export type ReductionForm = 'rows' | 'columns' | 'split';
type ReductionChoice = ChoiceOf<ReductionForm>;

export const reductionChoices: Choosing<ReductionProblem, ReductionChoice> = {
  first: (problem, device) => {
    const split = worthwhileSplit(problem, device) ?? coreChunks(problem, device);
    if (split !== undefined) return split;
    if (problem.direction === 'columns') return firstColumns(problem, device);
    if (device.core !== undefined) return coreRows(problem, device);
    return device.software ? softwareRows(problem, device) : workgroupRows(problem, device);
  },
  all: (problem, device) => [
    ...allRows(problem, device),
    ...allColumns(problem, device),
    ...allSplits(problem),
  ],
};

// ── in two ─────────────────────────────────────────────────────────────────────────────────────────────────

function splitOf(chunk: number): ChoiceOf<'split'> {
  return { form: 'split', chunk };
}

/**
 * Of few results, so that the whole device takes part, where that saves at least what another kernel takes.
 */
function worthwhileSplit(problem: ReductionProblem, device: DeviceProfile): ChoiceOf<'split'> | undefined {
  const { node, count, length } = problem;
  const { core } = device;
  const axis = splitAxis(node);
  const { invocations, load, arithmetic, kernel } = ratesOf(device);
  // Places of the best of a part are looked up one by one, which is slower than a whole core is.
  if (axis === undefined || (core !== undefined && isPositional(node.reduce.combiner))) return undefined;
  const sharing = sharersOf(device);
  // Twice as many as there is room for, that no part of the device waits for another.
  const parts = Math.floor(Math.max(fewestParts, (2 * invocations) / sharing) / count);
  const whole = ((load + arithmetic) * length) / sharing / (core === undefined ? 1 : 4);
  if (parts < 2 || whole * (1 - 1 / parts) < kernel) return undefined;
  const extent = node.reduce.extents[axis]!;
  const chunk = chunkFor(extent, Math.min(parts, extent / 16));
  return chunk < extent ? splitOf(chunk) : undefined;
}

const fewestParts = 16;

/** Many columns are walked down in pieces. */
function coreChunks(
  { node, direction, count, length }: ReductionProblem,
  { core }: DeviceProfile,
): ChoiceOf<'split'> | undefined {
  const { combiner, extents, ends } = node.reduce;
  const isOne = extents.length === 1 && ends?.[0] === undefined && !isPositional(combiner);
  const chunk = chunkWithinPages(count, length);
  return core !== undefined && direction === 'columns' && isOne && chunk !== undefined
    ? splitOf(chunk)
    : undefined;
}

/** Invocations that share a long row, of which there are few. */
function sharersOf({ core, software, subgroupSize = 1 }: DeviceProfile): number {
  if (core !== undefined) return 1;
  return software ? subgroupSize : 64;
}

/** So many steps, if there can be that many chunks of whole vectors; otherwise the last one is shorter. */
export function chunkFor(extent: number, parts: number): number {
  const even = extent / parts;
  return even % 4 === 0 ? even : Math.ceil(even / 16) * 16;
}

function allSplits({ node }: ReductionProblem): readonly ChoiceOf<'split'>[] {
  const axis = splitAxis(node);
  if (axis === undefined) return [];
  const extent = node.reduce.extents[axis]!;
  const chunks = [2, 4, 8, 16, 32, 64, 128].map((parts) => chunkFor(extent, parts));
  return [...new Set(chunks)].filter((chunk) => chunk < extent).map(splitOf);
}

// ── across neighbours ──────────────────────────────────────────────────────────────────────────────────────

/** Results beside each other that a core has at once: as many as a line of its cache holds. */
const inLine = 16;

/** So many workgroups at least, that all cores have some to the end. */
const fewestWorkgroups = 16;

function firstColumns({ count }: ReductionProblem, device: DeviceProfile): ChoiceOf<'columns'> {
  if (device.core !== undefined) {
    const results = count >= inLine * fewestWorkgroups ? inLine : 4;
    return { form: 'columns', threadColumns: powerFor(count / results / fewestWorkgroups, 16), results };
  }
  const most = Math.min(device.software ? 16 : 64, device.maxInvocationsPerWorkgroup);
  return { form: 'columns', threadColumns: Math.max(4, powerFor(count / 4, most)), results: 4 };
}

function allColumns(
  { count }: ReductionProblem,
  { core, maxInvocationsPerWorkgroup }: DeviceProfile,
): readonly ChoiceOf<'columns'>[] {
  return (core === undefined ? [4] : [4, inLine]).flatMap((results) =>
    powersTo(powerFor(count / results, maxInvocationsPerWorkgroup)).map(
      (threadColumns) => ({ form: 'columns', threadColumns, results }) as const,
    ),
  );
}

// ── along neighbours ───────────────────────────────────────────────────────────────────────────────────────

/** How many neighbours an invocation reads at a time along a reduced axis; a core, from any place on. */
function vectorOf(extent: number, core?: Core): number {
  return extent % 4 === 0 || (core !== undefined && extent > 4) ? 4 : 1;
}

/** Whether elements of the dtype are whole words, so that an invocation may store one. */
function hasWholeWords({ node }: ReductionProblem): boolean {
  return dtypeFacts[node.result.dtype].bits === 32;
}

function innermost({ reduced }: ReductionProblem): number {
  return reduced.at(-1)?.extent ?? 1;
}

/**
 * A core has several results at once: sums wait for each other, and what results share is loaded once. Places
 * are looked for in short rows as across neighbours, of many rows at once.
 */
function coreRows(problem: ReductionProblem, device: DeviceProfile): ChoiceOf<'rows' | 'columns'> {
  const { count, node } = problem;
  const isOfPlaces = isPositional(node.reduce.combiner);
  if (isOfPlaces && innermost(problem) <= shortSearch && count >= inLine)
    return firstColumns(problem, device);
  const several = isOfPlaces || node.body.op === 'load' ? 8 : 4;
  const isWide = hasWholeWords(problem) && count < several;
  const results = isWide ? (isOfPlaces ? powerFor(count, several) : 1) : several;
  return {
    form: 'rows',
    threadRows: powerFor(count / results / fewestWorkgroups, 64),
    threadColumns: 1,
    results,
    vector: vectorOf(innermost(problem), device.core),
  };
}

/** Entries of a row that are few enough to go through them for a line of rows at once. */
const shortSearch = 128;

/**
 * A workgroup of one subgroup (of one invocation, where they are of no fixed size) has several results at
 * once: what they share is loaded once.
 */
function softwareRows(
  problem: ReductionProblem,
  { subgroupSize = 1, maxInvocationsPerWorkgroup }: DeviceProfile,
): ChoiceOf<'rows' | 'columns'> {
  const { count, node } = problem;
  const inner = innermost(problem);
  const isOfPlaces = isPositional(node.reduce.combiner);
  if (isOfPlaces && hasWholeWords(problem)) {
    // To look for places takes long code, of which there is then one copy.
    return { form: 'rows', threadRows: powerFor(count, 64), threadColumns: 1, results: 1, vector: 1 };
  }
  if (!isOfPlaces && inner <= shortRow && count >= manyRows) {
    // Each invocation has its own rows: there is less to add up across them than it costs.
    const threads = powerFor(count / 4, Math.min(256, maxInvocationsPerWorkgroup));
    return vectorOf(inner) === 4
      ? { form: 'rows', threadRows: threads, threadColumns: 1, results: 4, vector: 4 }
      : { form: 'columns', threadColumns: threads, results: 4 };
  }
  const threadColumns = isOfPlaces || inner < 4 * subgroupSize ? 1 : subgroupSize;
  const vector = vectorOf(inner / threadColumns);
  if (threadColumns > 1)
    return { form: 'rows', threadRows: 1, threadColumns, results: count >= 32 ? 8 : 4, vector };
  const threadRows = powerFor(Math.ceil(count / 4), count > 4096 ? 64 : 16);
  return { form: 'rows', threadRows, threadColumns, results: 4, vector };
}

/** Neighbours that a software adapter has one invocation go through, of so many rows at least. */
const shortRow = 128;
const manyRows = 256;

/** Entries that an invocation looks through by itself, before it asks others for what they found. */
const searchedAlone = 16;

/** Rows of invocations, each with one result (four, where an invocation has to store whole words). */
function workgroupRows(
  problem: ReductionProblem,
  { maxInvocationsPerWorkgroup }: DeviceProfile,
): ChoiceOf<'rows'> {
  const vector = vectorOf(innermost(problem));
  const results = hasWholeWords(problem) ? 1 : 4;
  const largest = Math.min(256, maxInvocationsPerWorkgroup);
  const share = isPositional(problem.node.reduce.combiner) ? searchedAlone : vector;
  const neighbours = 2 ** Math.floor(Math.log2(innermost(problem) / share));
  const threadColumns = Math.min(largest, Math.max(1, neighbours));
  const wanted = powerFor(Math.ceil(problem.count / results), Number.POSITIVE_INFINITY);
  const threadRows = Math.min(wanted, Math.max(1, largest / threadColumns));
  return { form: 'rows', threadRows, threadColumns, results, vector };
}

function allRows(
  problem: ReductionProblem,
  { core, maxInvocationsPerWorkgroup, maxWorkgroupBytes, subgroupSize }: DeviceProfile,
): readonly ChoiceOf<'rows'>[] {
  const inner = innermost(problem);
  const vector = vectorOf(inner, core);
  /** What invocations meet in: a value each, and its position. */
  const bytes = isPositional(problem.node.reduce.combiner) ? 8 : 4;
  const together = Math.min(maxInvocationsPerWorkgroup, Math.floor(maxWorkgroupBytes / bytes));
  return powersTo(powerFor(inner / vector, 256)).flatMap((threadColumns) =>
    (hasWholeWords(problem) ? [1, 4, 8] : [4, 8]).flatMap((results) =>
      [1, 16, 64, 256]
        .map((threads) => Math.max(1, threads / threadColumns))
        .filter((threadRows, place, all) => all.indexOf(threadRows) === place)
        .filter((threadRows) => threadRows === 1 || threadRows * results < 2 * problem.count)
        .filter((threadRows) => {
          const threads = threadRows * threadColumns;
          if (threadColumns === 1) return threads <= maxInvocationsPerWorkgroup;
          return threads <= together || (threads === subgroupSize && threadRows === 1);
        })
        .map((threadRows) => ({ form: 'rows', threadRows, threadColumns, results, vector }) as const),
    ),
  );
}
