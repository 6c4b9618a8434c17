/** The collectives as data: what each moves, and what is true of its buffers. */
import { elementBytes } from '../../compiler/plan/storage-bytes.ts';
import type { PendingCombiner } from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';

/**
 * A collective over a group of P ranks, on shards of shape s. Every rank of the group issues the same one.
 *
 * Sums of integers wrap. Sums of the narrow floats (bf16, f16, f8) are accumulated in f32 in the order of the
 * ranks and rounded once, at the end. A maximum or minimum with a NaN is NaN. A maximum of bools is `any`, a
 * minimum `all`; bools have no sum.
 */
export type Collective =
  /** s → [P, …s], in the order of the ranks. */
  | { readonly verb: 'all_gather'; readonly dtype: Dtype }
  /** s → s: the shards of all ranks combined; every rank receives the same bits. */
  | { readonly verb: 'all_reduce'; readonly dtype: Dtype; readonly combiner: PendingCombiner }
  /** [P, …s] → s: rank j receives block j of all ranks combined. */
  | { readonly verb: 'reduce_scatter'; readonly dtype: Dtype; readonly combiner: PendingCombiner }
  /** [P, …s] → [P, …s]: block j goes to rank j; block i of the result came from rank i. */
  | { readonly verb: 'all_to_all'; readonly dtype: Dtype }
  /** s → s, from the rank `by` before this one, cyclically; negative is from a later one. */
  | { readonly verb: 'shift'; readonly dtype: Dtype; readonly by: number }
  /** s → s, that of rank `root`. What the others send is not read. */
  | { readonly verb: 'broadcast'; readonly dtype: Dtype; readonly root: number }
  /** Nothing moves; nobody goes on before all have come. Both buffers are empty. */
  | { readonly verb: 'barrier' };

export type Verb = Collective['verb'];
export type CollectiveOf<V extends Verb> = Extract<Collective, { readonly verb: V }>;

interface Facts<C extends Collective> {
  /** Bytes received for `sends` bytes sent. */
  readonly receives: (sends: number, ranks: number) => number;
  /** What is sent is a block of whole elements for each rank. */
  readonly inBlocks: boolean;
  /** What else must be equal on all ranks. */
  readonly detail: (collective: C) => string;
  /** What is wrong with it, if anything is. */
  readonly fault: (collective: C, ranks: number) => string | undefined;
}

const sameSize = (sends: number) => sends;
const noDetail = () => '';
const noFault = () => undefined;
const combinerDetail = ({ combiner }: { readonly combiner: PendingCombiner }) => `(${combiner})`;

function combinerFault(collective: { readonly dtype: Dtype; readonly combiner: PendingCombiner }) {
  return collective.dtype === 'bool' && collective.combiner === 'sum' ? 'cannot sum bools' : undefined;
}

const facts: { readonly [V in Verb]: Facts<CollectiveOf<V>> } = {
  all_gather: {
    receives: (sends, ranks) => sends * ranks,
    inBlocks: false,
    detail: noDetail,
    fault: noFault,
  },
  all_reduce: { receives: sameSize, inBlocks: false, detail: combinerDetail, fault: combinerFault },
  reduce_scatter: {
    receives: (sends, ranks) => sends / ranks,
    inBlocks: true,
    detail: combinerDetail,
    fault: combinerFault,
  },
  all_to_all: { receives: sameSize, inBlocks: true, detail: noDetail, fault: noFault },
  shift: {
    receives: sameSize,
    inBlocks: false,
    detail: ({ by }) => `(by ${by})`,
    fault: ({ by }) => (Number.isSafeInteger(by) ? undefined : `cannot shift by ${by}`),
  },
  broadcast: {
    receives: sameSize,
    inBlocks: false,
    detail: ({ root }) => `(from ${root})`,
    fault: ({ root }, ranks) =>
      Number.isInteger(root) && root >= 0 && root < ranks ? undefined : `has no rank ${root}`,
  },
  barrier: { receives: () => 0, inBlocks: false, detail: noDetail, fault: noFault },
};

function factsOf(collective: Collective): Facts<Collective> {
  return facts[collective.verb] as Facts<Collective>;
}

/** `all_reduce(sum) of 64 f32`: the same text on all ranks of a group exactly if their calls match. */
export function describeCollective(collective: Collective, sends: number): string {
  if (collective.verb === 'barrier') return 'barrier';
  const { verb, dtype } = collective;
  return `${verb}${factsOf(collective).detail(collective)} of ${sends / elementBytes(dtype)} ${dtype}`;
}

/** Bytes that each of so many ranks receives where each sends so many. */
export function receivedBytes(collective: Collective, ranks: number, sends: number): number {
  return factsOf(collective).receives(sends, ranks);
}

/** @throws RangeError for buffers of the wrong sizes, a root that is no rank, and a sum of bools. */
export function checkExchange(
  collective: Collective,
  ranks: number,
  send: Uint8Array,
  receive: Uint8Array,
): void {
  const { inBlocks, fault } = factsOf(collective);
  const [sends, width] = [
    send.byteLength,
    collective.verb === 'barrier' ? Number.POSITIVE_INFINITY : elementBytes(collective.dtype),
  ];
  const receives = receivedBytes(collective, ranks, sends);
  const faults = [
    fault(collective, ranks),
    sends % width === 0 ? undefined : `sends ${sends} bytes, which are not whole elements`,
    !inBlocks || sends % (width * ranks) === 0 ? undefined : `sends ${sends} bytes, not a block for each`,
    receive.byteLength === receives
      ? undefined
      : `receives ${receives} bytes for ${sends}, not ${receive.byteLength}`,
  ];
  const found = faults.find((text) => text !== undefined);
  if (found !== undefined) throw new RangeError(`${collective.verb} over ${ranks} ranks ${found}`);
}

/** The rank that rank `rank` receives from when all shift by `by`. */
export function shiftSource(rank: number, by: number, ranks: number): number {
  return (((rank - by) % ranks) + ranks) % ranks;
}
