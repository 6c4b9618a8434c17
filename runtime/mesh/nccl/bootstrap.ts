/** How the ranks of a job find each other: by MPI, by torchrun's variables, by Slurm's, or alone. */
import { UserError } from '../../errors.ts';
import { launchedBy } from '../mpi/launcher.ts';
import { openStore, type StorePlace } from './store.ts';

export interface Bootstrap {
  readonly rank: number;
  readonly size: number;
  /** Collective: the texts of all ranks, in their order. */
  readonly gather: (text: string) => Promise<readonly string[]>;
  readonly close: () => void;
}

interface Launch {
  readonly rank: number;
  readonly size: number;
  readonly place: StorePlace;
}

/** @throws UserError `no-device` when variables contradict each other, or rank 0 is not reached */
export async function findRanks(environment: NodeJS.ProcessEnv): Promise<Bootstrap> {
  const launch = torchrun(environment) ?? slurm(environment);
  if (launchedBy(environment) !== undefined && torchrun(environment) === undefined) return byMpi(environment);
  if (launch === undefined) return { rank: 0, size: 1, gather: async (text) => [text], close: () => {} };
  const { rank, size, place } = launch;
  return { rank, size, ...(await openStore(place, rank, size)) };
}

/** Also what others that follow it set: Accelerate, DeepSpeed. */
export function torchrun(environment: NodeJS.ProcessEnv): Launch | undefined {
  const { RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, TORCHELASTIC_RUN_ID: run = '' } = environment;
  if (RANK === undefined || WORLD_SIZE === undefined) return undefined;
  const [rank, size, port] = [RANK, WORLD_SIZE, MASTER_PORT].map((text) => numberOf(text));
  if (rank === undefined || size === undefined || port === undefined || MASTER_ADDR === undefined)
    throw new UserError(
      'no-device',
      'RANK and WORLD_SIZE are set as torchrun does it, but MASTER_ADDR, MASTER_PORT or a number is missing',
      'start with torchrun, or unset RANK',
    );
  checkRank(rank, size);
  // There torchrun itself listens.
  const isTaken = environment.TORCHELASTIC_USE_AGENT_STORE === 'True';
  return {
    rank,
    size,
    place: { host: MASTER_ADDR, port: isTaken ? port + 1 : port, job: `torchrun ${run}` },
  };
}

/** Ports of jobs: so many from the first on. */
const slurmPorts = { first: 20_000, count: 20_000 };

export function slurm(environment: NodeJS.ProcessEnv): Launch | undefined {
  const {
    SLURM_PROCID,
    SLURM_NTASKS,
    SLURM_STEP_NODELIST,
    SLURM_JOB_ID = '0',
    SLURM_STEP_ID = '0',
  } = environment;
  const nodes = SLURM_STEP_NODELIST ?? environment.SLURM_NODELIST;
  const [rank, size] = [SLURM_PROCID, SLURM_NTASKS].map((text) => numberOf(text));
  if (rank === undefined || size === undefined || nodes === undefined || size === 1) return undefined;
  checkRank(rank, size);
  const number = (numberOf(SLURM_JOB_ID) ?? 0) * 7 + (numberOf(SLURM_STEP_ID) ?? 0);
  const port = slurmPorts.first + (number % slurmPorts.count);
  return {
    rank,
    size,
    place: { host: firstNode(nodes), port, job: `slurm ${SLURM_JOB_ID}.${SLURM_STEP_ID}` },
  };
}

/** `gpu[03-05,9],x1` begins with `gpu03`. */
export function firstNode(nodes: string): string {
  const [, prefix = '', first = '', suffix = ''] =
    /^([^[,]*)(?:\[([^\],-]*)[^\]]*\]([^,]*))?/.exec(nodes) ?? [];
  return `${prefix}${first}${suffix}`;
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function checkRank(rank: number, size: number): void {
  if (rank < size) return;
  throw new UserError('no-device', `this is rank ${rank} of ${size}`, 'ranks count from 0: see the launcher');
}

async function byMpi(environment: NodeJS.ProcessEnv): Promise<Bootstrap> {
  const [{ loadMpi }, { gatherTexts, initialize }] = await Promise.all([
    import('../mpi/library.ts'),
    import('../mpi/world.ts'),
  ]);
  const mpi = await loadMpi(launchedBy(environment), environment);
  const { rank, size } = initialize(mpi);
  return {
    ...{ rank, size },
    gather: async (text) => gatherTexts(mpi, text, size),
    close: () => mpi.call('MPI_Finalize'),
  };
}
