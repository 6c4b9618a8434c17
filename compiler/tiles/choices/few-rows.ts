/**
 * Products of few rows by matrix units, as of some tokens with a weight, or of few columns, as those of a
 * router are: what takes time is to read the other factor, so that enough bytes of it have to be under way.
 */
import type { DeviceProfile } from '../device-profile.ts';
import type { ContractionProblem } from '../schedules/contraction.ts';
import { factorBytes } from '../schedules/unit-factors.ts';
import type { ChoiceOf } from './choice.ts';
import { isShapeFor } from './unit-tiles.ts';

type UnitsChoice = ChoiceOf<'units'>;

/** More rows, or columns, than this are computed for as long as they are waited for. */
const mostRows = 64;

/**
 * Bytes that a workgroup has in its stages so that a processor with one workgroup never waits: more than its
 * share of what memory gives in the time that it takes to answer (4.8 TB/s for about 1 µs, over 132).
 */
const enoughBytes = 64 * 1024;

/** A choice with as many stages as that takes, if there is room, and steps, for them. */
export function withEnoughStages(
  choice: UnitsChoice,
  problem: ContractionProblem,
  { units }: DeviceProfile,
): UnitsChoice {
  const { rows, columns, reduced } = problem;
  if (units === undefined || Math.min(rows.extent, columns.extent) > mostRows) return choice;
  const perStage = stageBytes(choice, problem);
  const wanted = Math.ceil(enoughBytes / perStage);
  const most = Math.min(units.workgroupBytes / perStage, reduced.extent / choice.depth);
  const stages = Math.max(choice.stages, Math.min(wanted + 1, Math.floor(most)));
  return { ...choice, stages };
}

function stageBytes(
  { warpRows, warpColumns, rows, columns, depth }: UnitsChoice,
  problem: ContractionProblem,
): number {
  return factorBytes(problem) * depth * (warpRows * rows + warpColumns * columns);
}

const shapes = [
  { warpRows: 1, warpColumns: 4, rows: 16, columns: 16 },
  { warpRows: 1, warpColumns: 2, rows: 16, columns: 16 },
  { warpRows: 1, warpColumns: 4, rows: 16, columns: 32 },
  { warpRows: 4, warpColumns: 1, rows: 16, columns: 16 },
  { warpRows: 4, warpColumns: 1, rows: 16, columns: 32 },
  { warpRows: 4, warpColumns: 1, rows: 16, columns: 64 },
] as const;

/** Those with more stages, or longer steps, than are tried of any product. */
export function fewRowsUnits(problem: ContractionProblem, { units }: DeviceProfile): readonly UnitsChoice[] {
  const { packed, rows, columns, reduced, eights } = problem;
  if (units === undefined || packed === undefined) return [];
  if (Math.min(rows.extent, columns.extent) > mostRows) return [];
  const fitting = shapes.filter(
    (shape) => shape.warpColumns * shape.columns < 2 * columns.extent && isShapeFor(problem, units, shape),
  );
  const depths =
    eights === undefined ? [128, 256].map((bytes) => bytes / factorBytes(problem)) : [eights.step];
  return fitting.flatMap((shape) =>
    depths.flatMap((depth) =>
      [3, 4, 5, 6, 8, 12]
        .map((stages): UnitsChoice => ({ form: 'units', ...shape, depth, stages, cluster: 1 }))
        .filter((choice) => choice.stages * stageBytes(choice, problem) <= units.workgroupBytes)
        .filter(({ stages }) => reduced.extent >= stages * depth),
    ),
  );
}
