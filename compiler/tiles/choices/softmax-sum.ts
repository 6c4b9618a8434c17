/** How softmax-weighted sums may be streamed. */
import type { DeviceProfile } from '../device-profile.ts';
import { canPanel } from '../schedules/panels.ts';
import { componentsOf, type SoftmaxProblem } from '../schedules/softmax-sum.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, powerFor } from './choosing.ts';

export type SoftmaxForm = 'stream' | 'blocked';
type StreamChoice = ChoiceOf<'stream'>;

export const softmaxChoices: Choosing<SoftmaxProblem, ChoiceOf<SoftmaxForm>> = {
  first: (problem, device) => {
    const { separated, rows, batch } = problem;
    const { core, software, subgroupSize } = device;
    // A core has so many rows at once that what it reads of the streamed axis serves several.
    const own = core !== undefined && rows.extent >= core.streamed.rows ? core.streamed.rows : 1;
    if (canBlock(problem, device) && rows.extent >= fewestBlockedRows)
      return { form: 'blocked', rows: own, block: 64 };
    const lanes = separated !== undefined ? subgroupSize : undefined;
    const largest = Math.min(software ? 8 : 64, device.maxInvocationsPerWorkgroup);
    const threads = powerFor(rows.extent, batch.extent > 0 ? largest : 1);
    return {
      form: 'stream',
      threadColumns: Math.max(lanes ?? 1, core !== undefined ? 1 : threads),
      rows: own,
      block: lanes ?? 4,
      lanes: lanes !== undefined,
    };
  },
  all: (problem, device) =>
    [1, 2, 4]
      .filter((rows) => rows === 1 || rows < 2 * problem.rows.extent)
      .flatMap((rows) => [
        ...blockedSums(problem, rows, device),
        ...(rows * componentsOf(problem, device) > mostSums
          ? []
          : [...plainStreams(problem, rows, device), ...streamsOverLanes(problem, rows, device)]),
      ]),
};

/** Rows that a key is to be multiplied with at least, or copying the keys takes longer than it saves. */
const fewestBlockedRows = 16;

/** Whether keys may be read in panels by a core. */
function canBlock({ node, separated, batch, depth }: SoftmaxProblem, { core }: DeviceProfile): boolean {
  if (core === undefined || separated === undefined) return false;
  const keys = { batches: batch.extent, columns: node.extent, depth, width: core.streamed.columns };
  return canPanel(keys, core);
}

function blockedSums(
  problem: SoftmaxProblem,
  rows: number,
  device: DeviceProfile,
): readonly ChoiceOf<'blocked'>[] {
  if (!canBlock(problem, device)) return [];
  const width = device.core!.streamed.columns;
  return [2, 4, 8, 16].map((panels) => ({ form: 'blocked', rows, block: panels * width }));
}

/** Sums that an invocation keeps in registers at most: more take seconds to compile. */
const mostSums = 512;

function threadCounts(problem: SoftmaxProblem, rows: number, device: DeviceProfile): readonly number[] {
  return [1, 4, 8, 16, 32, 64]
    .filter((threads) => threads <= device.maxInvocationsPerWorkgroup)
    .filter((threads) => threads === 1 || threads * rows < 2 * problem.rows.extent);
}

function plainStreams(problem: SoftmaxProblem, rows: number, device: DeviceProfile): readonly StreamChoice[] {
  return threadCounts(problem, rows, device).flatMap((threadColumns) =>
    [4, 8, 16].map((block): StreamChoice => ({ form: 'stream', threadColumns, rows, block, lanes: false })),
  );
}

function streamsOverLanes(
  problem: SoftmaxProblem,
  rows: number,
  device: DeviceProfile,
): readonly StreamChoice[] {
  const { subgroupSize } = device;
  if (problem.separated === undefined || subgroupSize === undefined) return [];
  const counts = new Set([subgroupSize, ...threadCounts(problem, rows, device)]);
  return [...counts]
    .filter((threads) => threads % subgroupSize === 0)
    .flatMap((threadColumns) =>
      [1, 2]
        .map((times) => times * subgroupSize)
        .map(
          (block): StreamChoice => ({
            ...{ form: 'stream', threadColumns, rows, block, lanes: true },
          }),
        ),
    );
}
