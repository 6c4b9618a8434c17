/**
 * How many blocks of a kernel a multiprocessor is to have at once, at least. ptxas gives a thread fewer
 * registers than it needs, and spills, for the sake of one block more, which may find no room in shared memory.
 */
import type { PtxTarget } from '../../../compiler/tiles/ptx-target.ts';
import { allStatements, isOverUnits } from '../../../compiler/tiles/tile-builder.ts';
import type { TileProgram } from '../../../compiler/tiles/tile-program.ts';

/** Of a multiprocessor of compute capability 8.0, and what each block takes of it beside its own. */
const sharedBytes = { all: 164 * 1024, ofEach: 1024 };
/** More of four warps each leave a thread 128 registers, which scores, values and a mask together exceed. */
const most = 3;

/**
 * Of streams of scores and values, which have most registers; undefined where ptxas may decide.
 * @param own bytes of shared memory of a block
 */
export function leastBlocks({ body }: TileProgram, target: PtxTarget, own: number): number | undefined {
  if (target !== 'sm_80') return undefined;
  const steps = allStatements(body).flatMap((each) =>
    each.kind === 'pipeline' ? allStatements(each.body) : [],
  );
  const scores = steps.filter(({ kind }) => kind === 'multiplyAccumulate');
  const isOfUnits = steps.some(
    (each) => each.kind === 'define' && each.tile.axes.some(({ over }) => isOverUnits(over)),
  );
  if (scores.length < 2 || !isOfUnits) return undefined;
  return Math.min(Math.floor(sharedBytes.all / (own + sharedBytes.ofEach)), most);
}
