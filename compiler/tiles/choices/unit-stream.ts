/** How softmax-weighted sums may be streamed by matrix units. */
import type { DeviceProfile, MatrixUnits } from '../device-profile.ts';
import type { SoftmaxProblem } from '../schedules/softmax-problem.ts';
import { unitExtents } from '../schedules/unit-softmax-sum.ts';
import { resultPadding } from '../schedules/unit-stream.ts';
import type { ChoiceOf } from './choice.ts';

type UnitStreamChoice = ChoiceOf<'unitStream'>;

/** Below this, most of what the units do is for nothing. */
const fewest = { rows: 4, depth: 8, components: 8, streamed: 16 };

export function isWorthUnits({ units, node, depth, rows, values }: SoftmaxProblem): boolean {
  return (
    units !== undefined &&
    rows.extent >= fewest.rows &&
    depth >= fewest.depth &&
    values.extent >= fewest.components &&
    node.extent >= fewest.streamed
  );
}

/**
 * Positions of a block, the first that fit. Where one workgroup runs at a time, longer ones rescale less
 * often; of four warps two workgroups are to run together, and have shared memory for shorter ones. Of fewer
 * warps, each of which brings more of a block, longer ones do not stay in registers.
 */
const blocks = { alone: [128, 96, 64, 32, 16], together: [64, 32, 16], few: [32, 16] } as const;

/** What is done first. */
export function firstUnitStream(
  problem: SoftmaxProblem,
  device: DeviceProfile,
): UnitStreamChoice | undefined {
  const { units } = device;
  if (units === undefined) return undefined;
  const warps = firstWarps(problem, units);
  const kind = warps > 4 ? 'alone' : warps < 4 ? 'few' : 'together';
  return blocks[kind]
    .map((block): UnitStreamChoice => ({ form: 'unitStream', warps, rows, block, stages: 2 }))
    .find((choice) => isFitting(problem, choice) && fits(problem, choice, device));
}

/** Of a warp, as units multiply them. */
const rows = 16;

/**
 * Four warps, so that one workgroup computes while another waits; two warpgroups where there are workgroups
 * enough, since both read the streamed factors once, for which the cache would be too slow otherwise.
 */
function firstWarps(
  { batch, rows: { extent } }: SoftmaxProblem,
  { warpgroups, processors }: MatrixUnits,
): number {
  const isEnough = (count: number) => batch.extent * Math.floor(extent / (count * rows)) >= processors;
  if (warpgroups && isEnough(8)) return 8;
  return [4, 2].find((count) => rows * count < 2 * extent) ?? 1;
}

export function allUnitStreams(problem: SoftmaxProblem, device: DeviceProfile): readonly UnitStreamChoice[] {
  return [1, 2, 4, 8].flatMap((warps) =>
    [16, 32].flatMap((rows) =>
      [16, 32, 64, 96, 128, 160, 176].flatMap((block) =>
        [2, 3, 4]
          .map((stages): UnitStreamChoice => ({ form: 'unitStream', warps, rows, block, stages }))
          .filter((choice) => isFitting(problem, choice) && fits(problem, choice, device)),
      ),
    ),
  );
}

/** Whether no tile is all or half behind the end. */
function isFitting(problem: SoftmaxProblem, { warps, rows: perWarp, block }: UnitStreamChoice): boolean {
  const together = warps * perWarp;
  const isOfRows = together === 16 || together < 2 * problem.rows.extent;
  return isOfRows && (block === 16 || block < 2 * problem.node.extent);
}

/**
 * Of the 255 that an invocation may have, those that sums and scores take, and with them, of warpgroups, the
 * weights that are multiplied meanwhile: by their parts, of which each but the first takes more to be found.
 */
const mostRegisters = [160, 200, 160, 148] as const;

/** Whether its tiles are in registers and shared memory. */
function fits(problem: SoftmaxProblem, choice: UnitStreamChoice, { units }: DeviceProfile): boolean {
  if (problem.units === undefined || units === undefined) return false;
  const { depth, components } = unitExtents(problem, units);
  const { warps, rows: perWarp, block, stages } = choice;
  const parts = units.warpgroups && warps % 4 === 0 ? problem.units.parts : 0;
  const kept = components + block + (parts * block) / 2;
  if (depth > mostDepth || (perWarp * kept) / 32 > mostRegisters[parts]) return false;
  const together = warps * perWarp;
  const factors = 2 * (together * depth + stages * block * (depth + components));
  const results = 4 * together * (components + resultPadding);
  return Math.max(factors, results) <= units.workgroupBytes;
}

/** Of scores. */
const mostDepth = 256;
