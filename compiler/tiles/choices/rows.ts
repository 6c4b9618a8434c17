/** How rows that are reduced are dealt out first: to the invocations of a workgroup, and how many to each. */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { Scalar } from '../../graph/graph.ts';
import { loadsOf } from '../../graph/scalar.ts';
import type { Core, DeviceProfile } from '../device-profile.ts';
import type { ChoiceOf } from './choice.ts';
import { fewestWorkgroups, powerFor } from './choosing.ts';

/** What is known of the rows. */
export interface Rows {
  readonly count: number;
  /** Neighbours along a row: where it is gone through several times, the extent that is longest. */
  readonly inner: number;
  /** Whether the place of a value is looked for, which takes two values to meet in a tree. */
  readonly isPositional: boolean;
  /** Whether a result of a row is narrower than a word, so that an invocation has to have several. */
  readonly isNarrow: boolean;
  /** How many rows a core is to have at once: the more, the less code there is for an element. */
  readonly together: number;
  /** Bytes of the narrowest element that is read along a row. */
  readonly leastBytes: number;
}

export function firstRows(rows: Rows, device: DeviceProfile): ChoiceOf<'rows'> {
  if (device.core !== undefined) return coreRows(rows, device.core);
  if (device.software) return softwareRows(rows, device);
  const { keptElements } = device;
  return keptElements === undefined || rows.isPositional
    ? workgroupRows(rows, device)
    : keptRows(rows, keptElements, device);
}

/**
 * Four side by side, where the extent allows it: a core reads them from anywhere, and where rows are long, a
 * loop of vectors is worth another for what is left.
 */
export function fours(extent: number, { core }: { readonly core?: Core | undefined }): number {
  return extent % 4 === 0 || (core !== undefined && extent >= longRow) ? 4 : 1;
}

const longRow = 16;

/** Bytes of the narrowest element that any of the scalars reads. */
export function leastBytesOf(scalars: readonly Scalar[]): number {
  return Math.min(4, ...scalars.flatMap(loadsOf).map(({ dtype }) => dtypeFacts[dtype].bits / 8));
}

/** A core has several rows at once: sums wait for each other, and what rows share is loaded once. */
function coreRows({ count, inner, isPositional, isNarrow, together }: Rows, core: Core): ChoiceOf<'rows'> {
  const fewer = count >= 4 || isNarrow ? 4 : isPositional ? powerFor(count, 4) : 1;
  const results = count >= together ? together : fewer;
  const threadRows = powerFor(count / results / fewestWorkgroups, 64);
  const vector = fours(inner, { core });
  return { form: 'rows', threadRows, threadColumns: 1, results, vector, vectors: 1 };
}

/**
 * A workgroup of one subgroup (of one invocation, where they are of no fixed size) has several rows at once:
 * what they share is loaded once.
 */
function softwareRows(
  { count, inner, isPositional, isNarrow }: Rows,
  device: DeviceProfile,
): ChoiceOf<'rows'> {
  if (isPositional && !isNarrow)
    // To look for places takes long code, of which there is then one copy.
    return { ...{ form: 'rows', threadRows: powerFor(count, 64), threadColumns: 1 }, ...oneAtATime };
  const { subgroupSize = 1 } = device;
  const threadColumns = isPositional || inner < 4 * subgroupSize ? 1 : subgroupSize;
  const vector = fours(inner / threadColumns, device);
  if (threadColumns > 1)
    return { form: 'rows', threadRows: 1, threadColumns, results: count >= 32 ? 8 : 4, vector, vectors: 1 };
  const threadRows = powerFor(Math.ceil(count / 4), count > 4096 ? 64 : 16);
  return { form: 'rows', threadRows, threadColumns, results: 4, vector, vectors: 1 };
}

const oneAtATime = { results: 1, vector: 1, vectors: 1 } as const;

/** Entries that an invocation looks through by itself, before it asks others for what they found. */
const searchedAlone = 16;

/** Rows of invocations, each with one result (four, where an invocation has to store whole words). */
function workgroupRows(
  { count, inner, isPositional, isNarrow }: Rows,
  device: DeviceProfile,
): ChoiceOf<'rows'> {
  const vector = fours(inner, device);
  const results = isNarrow ? 4 : 1;
  const largest = Math.min(256, device.maxInvocationsPerWorkgroup);
  const neighbours = 2 ** Math.floor(Math.log2(inner / (isPositional ? searchedAlone : vector)));
  const threadColumns = Math.min(largest, Math.max(1, neighbours));
  const wanted = powerFor(Math.ceil(count / results), Number.POSITIVE_INFINITY);
  const threadRows = Math.min(wanted, Math.max(1, largest / threadColumns));
  return { form: 'rows', threadRows, threadColumns, results, vector, vectors: 1 };
}

/** Bytes that an invocation reads at once. */
const accessBytes = 16;

/** Elements of a row of so many that an invocation reads at once, the narrowest of so many bytes. */
export function widestVector(extent: number, leastBytes: number): number {
  return [Math.min(8, accessBytes / leastBytes), 4].find((each) => extent % each === 0) ?? 1;
}

/** Threads of a workgroup, where there is no reason for more. */
const usualThreads = 256;

/** Vectors that an invocation reads together, so that enough of them are under way. */
const usualVectors = 4;

/**
 * Whole rows in the registers of the invocations that have them, if these are enough; a warp by itself, where
 * that is, needs no barrier. Longer rows are gone through in steps of as much.
 */
function keptRows(
  { count, inner, isNarrow, leastBytes }: Rows,
  keptElements: number,
  device: DeviceProfile,
): ChoiceOf<'rows'> {
  const vector = widestVector(inner, leastBytes);
  const results = isNarrow ? 4 : 1;
  const pieces = Math.ceil(inner / vector);
  const mostVectors = Math.max(1, keptElements / vector / results);
  const most = device.maxInvocationsPerWorkgroup;
  if (pieces <= warp * Math.min(usualVectors, mostVectors)) {
    const threadColumns = powerFor(pieces, warp);
    const threadRows = Math.min(powerFor(Math.ceil(count / results), most), usualThreads / threadColumns);
    return {
      ...{ form: 'rows', threadRows, threadColumns, results },
      vector,
      vectors: Math.ceil(pieces / threadColumns),
    };
  }
  const vectorsOf = (threads: number) => Math.ceil(pieces / threads);
  const wanted = Math.min(usualThreads, inWarps(pieces / usualVectors));
  const enough = inWarps(pieces / mostVectors);
  const threadColumns = enough <= most ? Math.max(wanted, enough) : usualThreads;
  const vectors = Math.min(mostVectors, vectorsOf(threadColumns));
  return { form: 'rows', threadRows: 1, threadColumns, results, vector, vectors };
}

const warp = 32;

function inWarps(threads: number): number {
  return Math.ceil(threads / warp) * warp;
}
