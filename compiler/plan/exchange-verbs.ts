/**
 * What each exchange moves, in chunks: a chunk is what one device of a group sends to another. With P devices
 * a tensor is one chunk or P of them (see `ExchangeNode`).
 */
import type { PendingCombiner } from '../../dsl/placement/placement.ts';
import type { ExchangeVerb } from '../graph/graph.ts';

type Chunks = 'one' | 'each';

interface VerbFacts {
  readonly source: Chunks;
  readonly result: Chunks;
  readonly combines: boolean;
  /** Whether the result may be where the source is. The others would overwrite what is still to be sent. */
  readonly inPlace: boolean;
}

export const verbFacts: { readonly [V in ExchangeVerb]: VerbFacts } = {
  all_gather: { source: 'one', result: 'each', combines: false, inPlace: false },
  all_reduce: { source: 'one', result: 'one', combines: true, inPlace: true },
  reduce_scatter: { source: 'each', result: 'one', combines: true, inPlace: false },
  all_to_all: { source: 'each', result: 'each', combines: false, inPlace: false },
  shift: { source: 'one', result: 'one', combines: false, inPlace: false },
  broadcast: { source: 'one', result: 'one', combines: false, inPlace: true },
};

export const pendingCombiners = ['sum', 'max', 'min'] as const satisfies readonly PendingCombiner[];

export function chunkCount(chunks: Chunks, devices: number): number {
  return chunks === 'each' ? devices : 1;
}
