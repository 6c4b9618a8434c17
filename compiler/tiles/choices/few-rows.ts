/**
 * Products of few rows by matrix units, as of some tokens with a weight: what takes time is to read the
 * weight, so that as many bytes of it should be under way as there is shared memory for.
 */
import type { DeviceProfile } from '../device-profile.ts';
import type { ContractionProblem } from '../schedules/contraction.ts';
import type { ChoiceOf } from './choice.ts';

type UnitsChoice = ChoiceOf<'units'>;

/** More rows than this are computed for as long as they are waited for. */
const mostRows = 64;

/** Stages beyond those that are tried of any product. */
const manyStages = [6, 8, 12, 16] as const;

const shapes = [
  { warpRows: 1, warpColumns: 4, rows: 16, columns: 16 },
  { warpRows: 1, warpColumns: 2, rows: 16, columns: 16 },
  { warpRows: 1, warpColumns: 4, rows: 16, columns: 32 },
  { warpRows: 4, warpColumns: 1, rows: 16, columns: 32 },
  { warpRows: 4, warpColumns: 1, rows: 16, columns: 64 },
  { warpRows: 4, warpColumns: 1, rows: 16, columns: 128 },
] as const;

const depth = 64;

export function fewRowsUnits(
  { packed, rows, reduced }: ContractionProblem,
  { units }: DeviceProfile,
): readonly UnitsChoice[] {
  if (units === undefined || packed === undefined || rows.extent > mostRows) return [];
  return shapes.flatMap((shape) =>
    [4, ...manyStages].flatMap((stages): readonly UnitsChoice[] => {
      const [high, wide] = [shape.warpRows * shape.rows, shape.warpColumns * shape.columns];
      const bytes = Math.max(2 * stages * depth * (high + wide), 4 * high * (wide + 8));
      const isFit = bytes <= units.workgroupBytes && reduced.extent >= stages * depth;
      return isFit ? [{ form: 'units', ...shape, depth, stages }] : [];
    }),
  );
}
