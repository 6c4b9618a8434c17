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
  /** The neighbours along a row that a workgroup meets at once, `vector` of them side by side. */
  readonly columns: (vector: number) => TileAxis;
  /** How many lie side by side where an axis of so many is read. */
  readonly vector: (extent: number) => number;
}

export function rowLayout(
  { threadRows, threadColumns, results }: ChoiceOf<'rows'>,
  device: DeviceProfile,
): RowLayout {
  const isAlone = threadColumns === 1;
  const block = Math.min(4, results);
  return {
    threads: { rows: threadRows, columns: threadColumns },
    rows: spread(threadRows * results, threadRows === 1 ? 'whole' : 'rows', block),
    columns: (vector) =>
      isAlone ? spread(vector, 'whole', vector) : spread(threadColumns * vector, 'columns', vector),
    vector: (extent) => {
      if (!device.software) return fours(extent, device);
      // In rows that an invocation has one of, places are looked for: of such long code there is one copy.
      if (results === 1 && isAlone && device.core === undefined) return 1;
      // What is left behind the last whole step of all columns has a loop of its own.
      return extent >= 4 * threadColumns ? fours(extent, device) : 1;
    },
  };
}
