/** How softmax-weighted sums may be streamed by matrix units. */
import type { DeviceProfile } from '../device-profile.ts';
import type { SoftmaxProblem } from '../schedules/softmax-problem.ts';
import { resultPadding, unitExtents } from '../schedules/unit-softmax-sum.ts';
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

/** Of what the streamed axis has and what tiles may be, the first that fits. */
const preferred: readonly Pick<UnitStreamChoice, 'rows' | 'block' | 'stages'>[] = [
  { rows: 16, block: 64, stages: 2 },
  { rows: 16, block: 32, stages: 2 },
  { rows: 16, block: 16, stages: 2 },
];

/** What is done first: as many warps as rows ask for, up to four, so that two workgroups run together. */
export function firstUnitStream(
  problem: SoftmaxProblem,
  device: DeviceProfile,
): UnitStreamChoice | undefined {
  const warps = [4, 2].find((count) => 16 * count < 2 * problem.rows.extent) ?? 1;
  return preferred
    .map((tiles): UnitStreamChoice => ({ form: 'unitStream', warps, ...tiles }))
    .find((choice) => fits(problem, choice, device));
}

export function allUnitStreams(problem: SoftmaxProblem, device: DeviceProfile): readonly UnitStreamChoice[] {
  return [1, 2, 4, 8].flatMap((warps) =>
    [16, 32].flatMap((rows) =>
      [16, 32, 64, 128].flatMap((block) =>
        [2, 3, 4]
          .map((stages): UnitStreamChoice => ({ form: 'unitStream', warps, rows, block, stages }))
          .filter((choice) => isFitting(problem, choice) && fits(problem, choice, device)),
      ),
    ),
  );
}

/** Whether no tile is all or half behind the end. */
function isFitting({ node, rows }: SoftmaxProblem, choice: UnitStreamChoice): boolean {
  const isFew = choice.warps * choice.rows === 16;
  return (
    (isFew || choice.warps * choice.rows < 2 * rows.extent) &&
    (choice.block === 16 || choice.block < 2 * node.extent)
  );
}

/** Of the 255 that an invocation may have, those that sums, scores and their factors take. */
const mostRegisters = 200;

/** Whether its tiles are in registers and shared memory. */
function fits(problem: SoftmaxProblem, choice: UnitStreamChoice, { units }: DeviceProfile): boolean {
  if (problem.units === undefined || units === undefined) return false;
  const { depth, components } = unitExtents(problem);
  const { warps, rows, block, stages } = choice;
  if (depth > mostDepth || (rows * (components + block)) / 32 > mostRegisters) return false;
  const together = warps * rows;
  const factors = 2 * (together * depth + stages * block * (depth + components));
  const results = 4 * together * (components + resultPadding);
  return Math.max(factors, results) <= units.workgroupBytes;
}

/** Of scores. */
const mostDepth = 256;
