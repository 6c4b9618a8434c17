/** Where the invocations of a workgroup have rows, which are gone through several times. */
import type { ChoiceOf } from '../choices/choice.ts';
import { fours } from '../choices/rows.ts';
import type { DeviceProfile } from '../device-profile.ts';
import { spread } from '../tile-builder.ts';
import type { ThreadShape, TileAxis } from '../tile-program.ts';

export interface RowLayout {
  readonly threads: ThreadShape;
  /** The rows of a workgroup. */
  readonly rows: TileAxis;
  /** The neighbours along a row of so many that a workgroup meets at once, `vector` of them side by side. */
  readonly columns: (vector: number, extent: number) => TileAxis;
  /** How many lie side by side where an axis of so many is read. */
  readonly vector: (extent: number) => number;
  /** The same where it is written: whole words, if it may be. */
  readonly storedVector: (extent: number) => number;
}

export function rowLayout(
  { threadRows, threadColumns, results, vector: widest, vectors }: ChoiceOf<'rows'>,
  device: DeviceProfile,
): RowLayout {
  const isAlone = threadColumns === 1;
  const block = Math.min(4, results);
  const storedVector = (extent: number) =>
    widest > 4 && extent % widest === 0 ? widest : fours(extent, device);
  return {
    threads: { rows: threadRows, columns: threadColumns },
    rows: spread(threadRows * results, threadRows === 1 ? 'whole' : 'rows', block),
    columns: (vector, extent) => {
      const together = Math.min(vectors, Math.ceil(extent / (threadColumns * vector)));
      return isAlone
        ? spread(vector * together, 'whole', vector)
        : spread(threadColumns * vector * together, 'columns', vector);
    },
    storedVector,
    vector: (extent) => {
      if (!device.software) return storedVector(extent);
      // In rows that an invocation has one of, places are looked for: of such long code there is one copy.
      if (results === 1 && isAlone && device.core === undefined) return 1;
      // What is left behind the last whole step of all columns has a loop of its own.
      return extent >= 4 * threadColumns ? fours(extent, device) : 1;
    },
  };
}
