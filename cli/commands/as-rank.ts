/** A command that runs as one of the ranks of a job: what they say together is what one process would say. */
import type { World } from '../../runtime/mesh/communicator.ts';
import { launchedBy } from '../../runtime/mesh/mpi/launcher.ts';
import { othersCanStart, startTogether } from '../../runtime/mesh/start.ts';
import { Ended, reportFailure } from '../exit.ts';
import { createOutput, type Output } from '../output.ts';
import { heldBack, type Streams } from '../streams.ts';

export interface Rank {
  readonly world: World;
  /** Collective, after all that may fail by itself: see `startTogether`. */
  readonly start: (
    common: Readonly<Record<string, string>>,
    parts: ReadonlyMap<string, string>,
  ) => Promise<void>;
}

/**
 * Joins the job that this process was started for. Rank 0 speaks for all; what another has to say is shown
 * when it fails alone, on standard error.
 *
 * What fails on every rank before the start ends each with its own status. Anything else ends the job: every
 * rank says which one gave up, and why.
 */
export async function asRank(
  json: boolean,
  streams: Streams,
  work: (rank: Rank, output: Output) => Promise<void>,
): Promise<void> {
  // Only who asks for MPI needs what it takes to call it.
  const { openMpi } = await import('../../runtime/mesh/mpi/world.ts');
  const world = await openMpi();
  const held = heldBack({ ...streams, out: { write: () => undefined } });
  const output = world.rank === 0 ? createOutput(json, streams) : createOutput(false, held.streams);
  let started = false;
  const start: Rank['start'] = async (common, parts) => {
    await startTogether(world, common, parts);
    started = true;
  };
  try {
    await work({ world, start }, output);
  } catch (error) {
    const status = reportFailure(error, output);
    if (started || (await othersCanStart(world))) {
      held.release();
      await world.abort(reasonOf(error));
    }
    await world.close();
    throw new Ended(status);
  }
  await world.close();
}

/** Whether this process is one of several that join a job once their command line is read. */
export function willBeRank(args: readonly string[], environment: NodeJS.ProcessEnv): boolean {
  const asks = args.some((arg) => arg === '--communicator' || arg.startsWith('--communicator='));
  const launcher = asks ? launchedBy(environment) : undefined;
  return launcher !== undefined && launcher.ranks !== 1;
}

/**
 * For a rank whose command line is wrong, while the others may wait for it in the start of MPI: it joins, and
 * ends the job where the others can start. Where none can, rank 0 speaks for all.
 */
export async function refuseAsRank(error: Error, say: () => void): Promise<void> {
  const { openMpi } = await import('../../runtime/mesh/mpi/world.ts');
  const world = await openMpi().catch(() => undefined);
  // Without MPI nobody waits.
  if (world === undefined) return say();
  const isAlone = await othersCanStart(world);
  if (isAlone || world.rank === 0) say();
  if (isAlone) await world.abort(reasonOf(error));
  await world.close();
}

/** A clause; diagnostics of a program are more than that, and have been shown. */
function reasonOf(error: unknown): string {
  if (error instanceof Ended) return 'the program has errors';
  const [clause] = (error instanceof Error ? error.message : String(error)).split('\n');
  return clause!.replace(/^error: /, '');
}
