/** A command that runs as one of the ranks of a job: what they say together is what one process would say. */
import type { World } from '../../runtime/mesh/communicator.ts';
import { launchedBy } from '../../runtime/mesh/mpi/launcher.ts';
import { isStartedAsRank } from '../../runtime/mesh/nccl/started.ts';
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

/** What processes of a job talk through. */
export type JobCommunicator = 'mpi' | 'nccl';

/** Only who asks for a library needs what it takes to call it. */
const openers: { readonly [C in JobCommunicator]: () => Promise<World> } = {
  mpi: async () => (await import('../../runtime/mesh/mpi/world.ts')).openMpi(),
  nccl: async () => (await import('../../runtime/mesh/nccl/world.ts')).openNccl(),
};

/**
 * Joins the job that this process was started for. Rank 0 speaks for all; what another has to say is shown
 * when it fails alone, on standard error.
 *
 * What fails on every rank before the start ends each with its own status. Anything else ends the job: every
 * rank says which one gave up, and why.
 */
export async function asRank(
  communicator: JobCommunicator,
  json: boolean,
  streams: Streams,
  work: (rank: Rank, output: Output) => Promise<void>,
): Promise<void> {
  const world = await openers[communicator]();
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

/**
 * The communicator of the job that this process joins as one of several, once its command line is read. One
 * that is asked for wrongly is taken to be MPI, so that nobody waits for it.
 */
export function willBeRank(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
): JobCommunicator | undefined {
  const place = args.findIndex((arg) => /^--communicator(=|$)/.test(arg));
  if (place < 0) return undefined;
  const name = args[place]!.split('=')[1] ?? args[place + 1];
  const launcher = launchedBy(environment);
  if (name === 'nccl' && isStartedAsRank(environment)) return 'nccl';
  return launcher === undefined || launcher.ranks === 1 ? undefined : name === 'nccl' ? 'nccl' : 'mpi';
}

/**
 * For a rank whose command line is wrong, while the others may wait for it in the start of the job: it joins,
 * and ends the job where the others can start. Where none can, rank 0 speaks for all.
 */
export async function refuseAsRank(
  communicator: JobCommunicator,
  error: Error,
  say: () => void,
): Promise<void> {
  const world = await openers[communicator]().catch(() => undefined);
  // Without the library nobody waits.
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
