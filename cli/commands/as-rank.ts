/** A command that runs as one of the ranks of a job: what they say together is what one process would say. */
import type { World } from '../../runtime/mesh/communicator.ts';
import { othersCanStart, startTogether } from '../../runtime/mesh/start.ts';
import { Ended, reportFailure } from '../exit.ts';
import { createOutput, type Output } from '../output.ts';
import type { Streams } from '../streams.ts';

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
  const said: string[] = [];
  const heldBack: Streams = {
    out: { write: () => undefined },
    err: { write: (text) => said.push(text) },
    colour: streams.colour,
    outColour: false,
  };
  const output = world.rank === 0 ? createOutput(json, streams) : createOutput(false, heldBack);
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
      for (const text of said) streams.err.write(text);
      await world.abort(reasonOf(error));
    }
    await world.close();
    throw new Ended(status);
  }
  await world.close();
}

/** A clause; diagnostics of a program are more than that, and have been shown. */
function reasonOf(error: unknown): string {
  if (error instanceof Ended) return 'the program has errors';
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}
