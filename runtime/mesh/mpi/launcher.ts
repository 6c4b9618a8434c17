/** Whether, and by what, this process was started as a rank of a job. */
import type { Family } from './abi.ts';

export interface Launcher {
  readonly name: string;
  /** The library that it starts processes for; undefined where it serves any. */
  readonly family: Family | undefined;
  /** How many ranks it says that it started; undefined where it does not say. */
  readonly ranks: number | undefined;
}

interface LauncherMark {
  readonly name: string;
  readonly family: Family | undefined;
  /** A variable that only this launcher sets. */
  readonly sets: string;
  /** The variable with the number of ranks. */
  readonly size?: string;
}

const marks: readonly LauncherMark[] = [
  {
    name: "Open MPI's mpiexec",
    family: 'openMpi',
    sets: 'OMPI_COMM_WORLD_RANK',
    size: 'OMPI_COMM_WORLD_SIZE',
  },
  // srun sets both for `--mpi=pmi2`, which is how MPICH runs there.
  { name: "MPICH's mpiexec", family: 'mpich', sets: 'PMI_RANK', size: 'PMI_SIZE' },
  // srun `--mpi=pmix`, prterun, jsrun.
  { name: 'a PMIx launcher', family: undefined, sets: 'PMIX_RANK' },
];

/** Undefined where the process was started by itself. */
export function launchedBy(environment: NodeJS.ProcessEnv): Launcher | undefined {
  const mark = marks.find(({ sets }) => environment[sets] !== undefined);
  if (mark === undefined) return undefined;
  const ranks = Number(mark.size === undefined ? undefined : environment[mark.size]);
  return { name: mark.name, family: mark.family, ranks: Number.isInteger(ranks) ? ranks : undefined };
}
