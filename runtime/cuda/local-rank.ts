/** The number of a process among those of its machine: by torchrun, Open MPI, MPICH and Intel MPI, Slurm. */
const variables = ['LOCAL_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'MPI_LOCALRANKID', 'SLURM_LOCALID'] as const;

/** 0 where no launcher says it. */
export function localRank(environment: NodeJS.ProcessEnv): number {
  const said = variables.map((name) => environment[name]).find((value) => /^\d+$/.test(value ?? ''));
  return said === undefined ? 0 : Number(said);
}
