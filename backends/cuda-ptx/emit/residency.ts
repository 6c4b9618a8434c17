/**
 * How many blocks of a kernel a multiprocessor is to have at once, at least (`.minnctapersm`): for the sake of
 * one more ptxas gives a thread fewer registers than it needs, and spills.
 */
import { besides } from '../../../compiler/tiles/schedules/unit-stream.ts';
import { allStatements, isOverUnits } from '../../../compiler/tiles/tile-builder.ts';
import type { TileProgram } from '../../../compiler/tiles/tile-program.ts';
import type { Emission } from './emission.ts';

/** Undefined where ptxas may decide. @param sharedBytes of a block */
export function leastBlocks(
  { program, target, specialised }: Pick<Emission, 'program' | 'target' | 'specialised'>,
  sharedBytes: number,
): number | undefined {
  // Registers are shared anew among warps by how many a thread has at first, which is then known.
  if (specialised?.registers !== undefined) return 1;
  // No three find room for what they share, of which ptxas knows nothing.
  if (sharedBytes >= besides.bytes) return 1;
  return target === 'sm_80' && isStream(program) ? besides.workgroups : undefined;
}

/** Whether scores and values are products of one pipeline, by matrix units. */
function isStream({ body }: TileProgram): boolean {
  const steps = allStatements(body).flatMap((each) =>
    each.kind === 'pipeline' ? allStatements(each.body) : [],
  );
  const isOfUnits = steps.some(
    (each) => each.kind === 'define' && each.tile.axes.some(({ over }) => isOverUnits(over)),
  );
  return isOfUnits && steps.filter(({ kind }) => kind === 'multiplyAccumulate').length > 1;
}
