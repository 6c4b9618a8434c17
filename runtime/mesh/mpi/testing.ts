/** Tests' way to make shards and to call a collective on all ranks of an in-process job. */
import type { Dtype } from '../../../dsl/types/dtype.ts';
import { tensorFromValues, tensorValues } from '../../weights/tensor-data.ts';
import type { Collective } from '../collective.ts';
import type { Communicator } from '../communicator.ts';

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
