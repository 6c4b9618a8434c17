/** How nodes along the same rows may be run: by how many threads a row, how many rows a workgroup. */
import type { DeviceProfile } from '../device-profile.ts';
import type { RowClusterProblem } from '../schedules/row-cluster.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, powerFor, powersTo } from './choosing.ts';
import { firstRows, type Rows } from './rows.ts';

export const rowClusterChoices: Choosing<RowClusterProblem, ChoiceOf<'rows'>> = {
  first: ({ rows }, device) => firstRows(rows, device),
  all: ({ rows }, device) => (device.core === undefined ? ofWorkgroups(rows, device) : ofCores(rows, device)),
};

/** Rows that an invocation has are gone through together. */
function ofCores(rows: Rows, device: DeviceProfile): readonly ChoiceOf<'rows'>[] {
  const first = firstRows(rows, device);
  const several = rows.isNarrow ? [4, 8] : [1, 4, 8];
  return several.flatMap((results) =>
    powersTo(powerFor(rows.count / results, 64)).map((threadRows) => ({ ...first, results, threadRows })),
  );
}

/** Threads of a workgroup, at most where a row has fewer. */
const sizes = [1, 32, 128, 256];
/** Of values that the threads of a row meet in: one, and its place, and that of the first that is none. */
const metBytes = 12;

function ofWorkgroups(rows: Rows, device: DeviceProfile): readonly ChoiceOf<'rows'>[] {
  const { maxInvocationsPerWorkgroup, maxWorkgroupBytes, software, keptElements } = device;
  const first = firstRows(rows, device);
  const { results, vector } = first;
  // The long code of what looks for places is not worth a choice: of some drivers it takes minutes.
  if (software && rows.isPositional) return [first];
  const pieces = Math.ceil(rows.inner / vector);
  const most = Math.min(maxInvocationsPerWorkgroup, Math.floor(maxWorkgroupBytes / metBytes));
  const mostVectors = keptElements === undefined || rows.isPositional ? 1 : keptElements / vector / results;
  return powersTo(powerFor(pieces, most)).flatMap((threadColumns) => {
    const shapes = sizes.map((threads) => Math.max(1, Math.floor(threads / threadColumns)));
    const vectors = powersTo(mostVectors).filter((each) => each < 2 * Math.ceil(pieces / threadColumns));
    return [...new Set(shapes)]
      .filter((threadRows) => threadRows === 1 || threadRows * results < 2 * rows.count)
      .flatMap((threadRows) =>
        vectors.map((each) => ({ ...first, threadRows, threadColumns, vectors: each })),
      );
  });
}
