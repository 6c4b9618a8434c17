/** How rows that are reduced are dealt out: to the invocations of a workgroup, and how many to each. */
import type { DeviceProfile } from '../device-profile.ts';
import { spread } from '../tile-builder.ts';
import type { ThreadShape, TileAxis } from '../tile-program.ts';

/** What is known of the rows. */
export interface Rows {
  readonly count: number;
  /** Neighbours along a row: the extent that is met most often. */
  readonly inner: number;
  /** Whether the place of a value is looked for, which takes two values to meet in a tree. */
  readonly isPositional: boolean;
  /** Whether a result of a row is narrower than a word, so that an invocation has to have several. */
  readonly isNarrow: boolean;
}

export interface RowLayout {
  readonly threads: ThreadShape;
  /** The rows of a workgroup. */
  readonly rows: TileAxis;
  /** The neighbours along a row that a workgroup meets at once, `vector` of them side by side. */
  readonly columns: (vector: number) => TileAxis;
  /** How many lie side by side where an axis of so many is read. */
  readonly vector: (extent: number) => number;
}

export function rowLayout(rows: Rows, device: DeviceProfile): RowLayout {
  return device.software ? softwareRows(rows, device) : workgroupRows(rows, device);
}

/** Four side by side, where the extent allows it: a processor reads them from anywhere. */
export function fours(extent: number, { core }: DeviceProfile): number {
  return extent % 4 === 0 || (core !== undefined && extent >= longRow) ? 4 : 1;
}

/** Entries of a row that are worth a loop of vectors, and another for what is left. */
const longRow = 16;

/**
 * A workgroup of one subgroup (of one invocation, where they are of no fixed size) has several rows at once:
 * what they share is loaded once.
 */
function softwareRows({ count, inner, isPositional, isNarrow }: Rows, device: DeviceProfile): RowLayout {
  const subgroup = device.subgroupSize ?? 1;
  const columns = isPositional || inner < 4 * subgroup ? 1 : subgroup;
  if (isPositional && !isNarrow && device.core === undefined) {
    // To look for places takes long code, of which there is then one copy.
    const rows = Math.min(64, 2 ** Math.ceil(Math.log2(count)));
    return {
      threads: { rows, columns },
      rows: spread(rows, 'rows'),
      columns: (vector) => spread(vector, 'whole', vector),
      vector: () => 1,
    };
  }
  if (columns === 1) {
    const rows = Math.min(count > 4096 ? 64 : 16, 2 ** Math.ceil(Math.log2(Math.ceil(count / 4))));
    return {
      threads: { rows, columns },
      rows: spread(rows * 4, 'rows', 4),
      columns: (vector) => spread(vector, 'whole', vector),
      vector: (extent) => fours(extent, device),
    };
  }
  return {
    threads: { rows: 1, columns },
    rows: spread(count >= 32 ? 8 : 4, 'whole', 4),
    columns: (vector) => spread(columns * vector, 'columns', vector),
    // What is left behind the last whole step of all columns has a loop of its own.
    vector: (extent) => (extent >= 4 * columns ? fours(extent, device) : 1),
  };
}

/** Entries that an invocation looks through by itself, before it asks others for what they found. */
const searchedAlone = 16;

/** Rows of invocations, each with one row (four, where an invocation has to store whole words). */
function workgroupRows({ count, inner, isPositional, isNarrow }: Rows, device: DeviceProfile): RowLayout {
  const perThread = isNarrow ? 4 : 1;
  const largest = Math.min(256, device.maxInvocationsPerWorkgroup);
  const share = inner / (isPositional ? searchedAlone : fours(inner, device));
  const columns = Math.min(largest, Math.max(1, 2 ** Math.floor(Math.log2(share))));
  const wanted = 2 ** Math.ceil(Math.log2(Math.ceil(count / perThread)));
  const rows = Math.min(wanted, Math.max(1, largest / columns));
  return {
    threads: { rows, columns },
    rows: spread(rows * perThread, 'rows', perThread),
    columns: (vector) => spread(columns * vector, 'columns', vector),
    vector: (extent) => fours(extent, device),
  };
}
