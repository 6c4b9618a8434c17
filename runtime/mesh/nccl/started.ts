/** Whether this process is one of several ranks by the variables of torchrun or Slurm. */
export function isStartedAsRank({
  RANK,
  WORLD_SIZE,
  SLURM_PROCID,
  SLURM_NTASKS,
}: NodeJS.ProcessEnv): boolean {
  const isOneOf = (rank: string | undefined, size: string | undefined) =>
    rank !== undefined && size !== undefined && size !== '1';
  return isOneOf(RANK, WORLD_SIZE) || isOneOf(SLURM_PROCID, SLURM_NTASKS);
}
