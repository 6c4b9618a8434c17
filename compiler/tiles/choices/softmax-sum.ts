/** How softmax-weighted sums may be streamed. */
import type { DeviceProfile } from '../device-profile.ts';
import type { ContractionProblem } from '../schedules/contraction.ts';
import { canPanel } from '../schedules/panels.ts';
import type { SoftmaxProblem } from '../schedules/softmax-problem.ts';
import { componentsOf } from '../schedules/softmax-sum.ts';
import { stepRows } from '../schedules/unit-contraction.ts';
import { factorBytes } from '../schedules/unit-factors.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, powerFor } from './choosing.ts';
import { allTiles, firstTiles as firstOfProduct } from './contraction.ts';
import { allUnitStreams, firstUnitStream, isWorthUnits as isWorthStreaming } from './unit-stream.ts';
import { allUnits, bytesOfUnits, firstUnits, isWorthUnits } from './unit-tiles.ts';

export type SoftmaxForm = 'stream' | 'blocked' | 'tiles' | 'units' | 'unitStream';
type StreamChoice = ChoiceOf<'stream'>;

export const softmaxChoices: Choosing<SoftmaxProblem, ChoiceOf<SoftmaxForm>> = {
  first: (problem, device) => {
    const { separated, rows, batch, logits } = problem;
    if (logits !== undefined) return unitsFor(logits, device) ?? firstTiles(logits, device);
    const byUnits = isWorthStreaming(problem) ? firstUnitStream(problem, device) : undefined;
    if (byUnits !== undefined) return byUnits;
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
  all: (problem, device) => [
    ...tilesOf(problem, device),
    ...unitsOf(problem, device),
    ...allUnitStreams(problem, device),
    ...[1, 2, 4]
      .filter((rows) => rows === 1 || rows < 2 * problem.rows.extent)
      .flatMap((rows) => [
        ...blockedSums(problem, rows, device),
        ...(rows * componentsOf(problem, device) > mostSums
          ? []
          : [...plainStreams(problem, rows, device), ...streamsOverLanes(problem, rows, device)]),
      ]),
  ],
};

// ── in tiles of logits ─────────────────────────────────────────────────────────────────────────────────────

/** Tiles whose rows are reduced by who has them: invocations, subgroups, or through workgroup memory. */
function tilesOf({ logits }: SoftmaxProblem, device: DeviceProfile): readonly ChoiceOf<'tiles'>[] {
  if (logits === undefined) return [];
  return allTiles(logits, device).filter((choice) => canReduce(choice, device));
}

function canReduce({ threadRows, threadColumns }: ChoiceOf<'tiles'>, device: DeviceProfile): boolean {
  if (threadColumns === 1 || (threadRows === 1 && threadColumns === device.subgroupSize)) return true;
  return !device.software && 4 * threadRows * threadColumns <= device.maxWorkgroupBytes;
}

/**
 * As of a product that is stored, but with no more columns of threads than can reduce a row among themselves,
 * of wide rows, since something is stored of each, and with registers left for the logits beside the sums.
 */
function firstTiles(logits: ContractionProblem, device: DeviceProfile): ChoiceOf<'tiles'> {
  const whole = firstOfProduct(logits, device);
  const threadColumns = canReduce(whole, device) ? whole.threadColumns : (device.subgroupSize ?? 1);
  const columns = Math.max(whole.columns, fewestColumns / threadColumns);
  return { ...whole, threadColumns, columns, rows: Math.min(whole.rows, mostLogits / columns) };
}

const fewestColumns = 16;
const mostLogits = 128;

function unitsFor(logits: ContractionProblem, device: DeviceProfile): ChoiceOf<'units'> | undefined {
  const units = isWorthUnits(logits, device) ? firstUnits(logits, device, mostRowsOf(logits)) : undefined;
  return units && canMeet(logits, units, device) ? units : undefined;
}

function unitsOf({ logits }: SoftmaxProblem, device: DeviceProfile): readonly ChoiceOf<'units'>[] {
  if (logits === undefined) return [];
  return allUnits(logits, device).filter((choice) => canMeet(logits, choice, device));
}

/** What is done with logits is done with all of a tile at once. */
function mostRowsOf({ eights }: ContractionProblem): number {
  return eights === undefined ? Number.POSITIVE_INFINITY : stepRows;
}

/** Whether there is room for what the warps of a row exchange beside the factors: a word each for a row. */
function canMeet(logits: ContractionProblem, choice: ChoiceOf<'units'>, { units }: DeviceProfile): boolean {
  const { warpRows, warpColumns, rows } = choice;
  const exchanged = warpColumns === 1 ? 0 : 4 * warpRows * rows * warpColumns;
  const bytes = bytesOfUnits(choice, factorBytes(logits)) + exchanged;
  if (rows > mostRowsOf(logits)) return false;
  return units !== undefined && bytes <= units.workgroupBytes;
}

// ── streamed ───────────────────────────────────────────────────────────────────────────────────────────────

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
