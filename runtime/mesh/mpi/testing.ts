/** Tests' way to start jobs, to make shards, and to call a collective on all ranks of an in-process job. */
import { spawnSync } from 'node:child_process';
import type { Dtype } from '../../../dsl/types/dtype.ts';
import { tensorFromValues, tensorValues } from '../../weights/tensor-data.ts';
import type { Collective } from '../collective.ts';
import type { Communicator } from '../communicator.ts';

/** An MPI that tests start jobs under, if it is installed. */
export interface Launched {
  readonly name: string;
  readonly command: string;
  readonly options: readonly string[];
}

export const launchers: readonly Launched[] = [
  { name: 'MPICH', command: 'mpiexec.mpich', options: [] },
  { name: 'Open MPI', command: 'mpiexec.openmpi', options: ['--oversubscribe'] },
];

export function isInstalled({ command }: Launched): boolean {
  return spawnSync(command, ['--version']).status === 0;
}

/** Open MPI starts nothing for root, as which CI runs, unless it is told twice. */
export const jobEnvironment = {
  ...process.env,
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
};

export function shardOf(dtype: Dtype, values: readonly number[]): Uint8Array {
  return tensorFromValues(dtype, [values.length], values).bytes;
}

export function valuesOf(dtype: Dtype, bytes: Uint8Array, count: number): readonly number[] {
  return [...tensorValues({ dtype, shape: [count], bytes })];
}

/** Calls the collective on every rank; what each receives. */
export async function exchangeAll(
  ranks: readonly Communicator[],
  collective: Collective,
  send: readonly Uint8Array[],
  receiveBytes: number,
): Promise<readonly Uint8Array[]> {
  const receive = ranks.map(() => new Uint8Array(receiveBytes));
  await Promise.all(ranks.map((rank, place) => rank.exchange(collective, send[place]!, receive[place]!)));
  return receive;
}
