/** How reductions may be run: along neighbours, across them, or in two. */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import { isPositional } from '../combiners.ts';
import type { DeviceProfile } from '../device-profile.ts';
import { ratesOf } from '../device-rates.ts';
import type { ReductionProblem } from '../schedules/reduction.ts';
import { splitAxis } from '../schedules/split-reduction.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, fewestWorkgroups, powerFor, powersTo } from './choosing.ts';
import { chunkWithinPages } from './pages.ts';
import { firstRows, fours, leastBytesOf, widestVector } from './rows.ts';

export type ReductionForm = 'rows' | 'columns' | 'split';
type ReductionChoice = ChoiceOf<ReductionForm>;

export const reductionChoices: Choosing<ReductionProblem, ReductionChoice> = {
  first: (problem, device) => {
    const split =
      worthwhileSplit(problem, device) ?? coreChunks(problem, device) ?? tallChunks(problem, device);
    if (split !== undefined) return split;
    if (problem.direction === 'columns') return firstColumns(problem, device);
    return firstAlong(problem, device);
  },
  all: (problem, device) => [
    ...allRows(problem, device),
    ...keptWhole(problem, device),
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
  const { core, software } = device;
  const axis = splitAxis(node);
  const { invocations, load, arithmetic, kernel } = ratesOf(device);
  // Places of the best of a part are looked up one by one, which is slower than a whole core is.
  if (axis === undefined || (software && isPositional(node.reduce.combiner))) return undefined;
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

/** Columns that would occupy too few threads of a GPU to keep its memory busy are cut into pieces too. */
function tallChunks(
  { node, direction, count, length }: ReductionProblem,
  { units }: DeviceProfile,
): ChoiceOf<'split'> | undefined {
  const axis = splitAxis(node);
  const isTall = direction === 'columns' && count * length >= leastToSplit;
  if (units === undefined || axis === undefined || !isTall || isPositional(node.reduce.combiner))
    return undefined;
  const extent = node.reduce.extents[axis]!;
  const threads = count / 4;
  const parts = Math.floor(Math.min((units.processors * threadsOfProcessor) / threads, extent / shortest));
  return parts < 2 ? undefined : splitOf(chunkFor(extent, parts));
}

/** Threads of a processor that have enough reads of four columns under way. */
const threadsOfProcessor = 1024;

/** Steps that are worth a sum of their own. */
const shortest = 64;

/** Elements that take longer to read than another kernel takes to begin. */
const leastToSplit = 2 ** 21;

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

/** Results from which on a device with matrix units is busy with eight an invocation. */
const manyColumns = 2 ** 20;

function firstColumns({ count, outputs }: ReductionProblem, device: DeviceProfile): ChoiceOf<'columns'> {
  if (device.core !== undefined) {
    const results = count >= inLine * fewestWorkgroups ? inLine : 4;
    // Few columns at a time: what they read lies closer together.
    const threadColumns = powerFor(count / results / (16 * fewestWorkgroups), 16);
    return { form: 'columns', threadColumns, results };
  }
  const { software, units, maxInvocationsPerWorkgroup } = device;
  // Eight of 16 bits are read at once.
  if (units !== undefined && count >= manyColumns && (outputs.at(-1)?.extent ?? 1) % 8 === 0)
    return { form: 'columns', threadColumns: 128, results: 8 };
  const most = Math.min(software ? 128 : 64, maxInvocationsPerWorkgroup);
  const wanted = count / (software ? 16 : 4);
  return { form: 'columns', threadColumns: Math.max(4, powerFor(wanted, most)), results: 4 };
}

function allColumns(
  { count }: ReductionProblem,
  { core, units, maxInvocationsPerWorkgroup }: DeviceProfile,
): readonly ChoiceOf<'columns'>[] {
  const several = units === undefined ? [4] : [4, 8];
  return (core === undefined ? several : [4, inLine]).flatMap((results) =>
    powersTo(powerFor(count / results, maxInvocationsPerWorkgroup)).map(
      (threadColumns) => ({ form: 'columns', threadColumns, results }) as const,
    ),
  );
}

// ── along neighbours ───────────────────────────────────────────────────────────────────────────────────────

/** Whether elements of the dtype are whole words, so that an invocation may store one. */
function hasWholeWords({ node }: ReductionProblem): boolean {
  return dtypeFacts[node.result.dtype].bits === 32;
}

function innermost({ reduced }: ReductionProblem): number {
  return reduced.at(-1)?.extent ?? 1;
}

/**
 * Short rows of which there are many are gone through as across neighbours, or by an invocation each: to add
 * up across invocations would take longer.
 */
function firstAlong(problem: ReductionProblem, device: DeviceProfile): ChoiceOf<'rows' | 'columns'> {
  const { count, node } = problem;
  const { core, software, subgroupSize = 1, maxInvocationsPerWorkgroup } = device;
  const inner = innermost(problem);
  const isOfPlaces = isPositional(node.reduce.combiner);
  const isShort = inner <= shortRow && count >= manyRows;
  if (isShort && isOfPlaces && core !== undefined) return firstColumns(problem, device);
  if (isShort && !isOfPlaces && core === undefined && software) {
    const threads = powerFor(count / 4, Math.min(256, maxInvocationsPerWorkgroup));
    return fours(inner, device) === 4
      ? { form: 'rows', threadRows: threads, threadColumns: 1, results: 4, vector: 4, vectors: 1 }
      : { form: 'columns', threadColumns: threads, results: 4 };
  }
  if (isOfPlaces && core === undefined && software) {
    const results = count >= 32 ? 8 : 4;
    const vector = fours(inner, device);
    return count < manyRows && inner >= 4 * subgroupSize
      ? { form: 'rows', threadRows: 1, threadColumns: subgroupSize, results, vector, vectors: 1 }
      : {
          form: 'rows',
          threadRows: powerFor(count / results, 64),
          threadColumns: 1,
          results,
          vector,
          vectors: 1,
        };
  }
  const isNarrow = !hasWholeWords(problem);
  const together = isOfPlaces || node.body.op === 'load' ? 8 : 4;
  const leastBytes = leastBytesOf([node.body]);
  return firstRows({ count, inner, isPositional: isOfPlaces, isNarrow, together, leastBytes }, device);
}

const shortRow = 128;
const manyRows = 256;

/** Rows that the invocations of a workgroup have whole, or four of them. */
function keptWhole(problem: ReductionProblem, device: DeviceProfile): readonly ChoiceOf<'rows'>[] {
  const { keptElements, maxInvocationsPerWorkgroup } = device;
  if (keptElements === undefined || isPositional(problem.node.reduce.combiner)) return [];
  const vector = widestVector(innermost(problem), leastBytesOf([problem.node.body]));
  const results = hasWholeWords(problem) ? 1 : 4;
  const pieces = innermost(problem) / vector;
  return powersTo(maxInvocationsPerWorkgroup).flatMap((threadColumns) => {
    const vectors = Math.ceil(pieces / threadColumns);
    const isFit = vectors * vector * results <= 2 * keptElements && threadColumns <= pieces;
    return isFit ? [{ form: 'rows', threadRows: 1, threadColumns, results, vector, vectors } as const] : [];
  });
}

function allRows(problem: ReductionProblem, device: DeviceProfile): readonly ChoiceOf<'rows'>[] {
  const { maxInvocationsPerWorkgroup, maxWorkgroupBytes, subgroupSize } = device;
  const inner = innermost(problem);
  const vector = fours(inner, device);
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
        .map(
          (threadRows) => ({ form: 'rows', threadRows, threadColumns, results, vector, vectors: 1 }) as const,
        ),
    ),
  );
}
