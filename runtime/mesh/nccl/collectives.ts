/**
 * Each collective as calls of NCCL, from device memory to device memory. Where NCCL's own reduction would not
 * mean the same, shards are moved by NCCL and combined on the host: it rounds narrow floats at each step, and
 * its maximum drops a NaN.
 */
import { elementBytes } from '../../../compiler/plan/storage-bytes.ts';
import type { PendingCombiner } from '../../../dsl/placement/placement.ts';
import type { Dtype } from '../../../dsl/types/dtype.ts';
import { type Collective, type CollectiveOf, shiftSource, type Verb } from '../collective.ts';
import { reduceShards } from '../reduce.ts';
import type { Nccl } from './library.ts';

/** One rank's end of a group. */
export interface NcclGroup {
  readonly nccl: Nccl;
  /** ncclComm_t. */
  readonly handle: bigint;
  readonly rank: number;
  readonly size: number;
}

/** Where NCCL works, and how results of the host come there. */
export interface Exchange {
  /** Device addresses. */
  readonly from: bigint;
  readonly to: bigint;
  readonly bytes: number;
  /** CUstream. */
  readonly stream: bigint;
  /** Fulfilled when what was given to the stream has run. */
  readonly done: () => Promise<void>;
  /** Of the device, for as long as the work lasts; it has the bytes of an address in order. */
  readonly withMemory: <T>(bytes: number, work: (address: bigint) => Promise<T>) => Promise<T>;
  readonly read: (address: bigint, bytes: number) => Promise<Uint8Array>;
  readonly write: (address: bigint, bytes: Uint8Array) => void;
  /** What is sent, from one address to another. */
  readonly copy: (from: bigint, to: bigint) => void;
}

type Rule<C extends Collective> = (
  group: NcclGroup,
  collective: C,
  exchange: Exchange,
) => void | Promise<void>;

/** ncclDataType_t, of reductions that NCCL does as the language means them. */
const dataTypes: { readonly [D in Dtype]?: number } = { i8: 0, u8: 1, bool: 1, i32: 2, u32: 3, f32: 7 };
/** ncclUint8: what is only moved. */
const bytesOfAny = 1;
/** ncclRedOp_t. */
const operators: { readonly [C in PendingCombiner]: number } = { sum: 0, max: 2, min: 3 };

interface Reduction {
  readonly dtype: Dtype;
  readonly combiner: PendingCombiner;
}

function nativeType({ dtype, combiner }: Reduction): number | undefined {
  return dtype === 'f32' && combiner !== 'sum' ? undefined : dataTypes[dtype];
}

/** Sends and receives that are under way together, none before the others. */
function together({ nccl }: NcclGroup, give: () => void): void {
  nccl.call('ncclGroupStart');
  try {
    give();
  } finally {
    nccl.call('ncclGroupEnd');
  }
}

function allToAll(group: NcclGroup, from: bigint, to: bigint, bytes: number, stream: bigint): void {
  const { nccl, handle, size } = group;
  const width = bytes / size;
  together(group, () => {
    for (let peer = 0; peer < size; peer++) {
      const at = BigInt(width * peer);
      nccl.call('ncclSend', from + at, width, bytesOfAny, peer, handle, stream);
      nccl.call('ncclRecv', to + at, width, bytesOfAny, peer, handle, stream);
    }
  });
}

/** This rank's block of all, combined on the host. */
async function combinedBlock(
  group: NcclGroup,
  { dtype, combiner }: Reduction,
  { stream, done, withMemory, read }: Exchange,
  from: bigint,
  bytes: number,
): Promise<Uint8Array> {
  const blocks = await withMemory(bytes, async (to) => {
    allToAll(group, from, to, bytes, stream);
    await done();
    return read(to, bytes);
  });
  const width = bytes / group.size;
  const shards = Array.from({ length: group.size }, (_, rank) =>
    blocks.subarray(rank * width, (rank + 1) * width),
  );
  const combined = new Uint8Array(width);
  reduceShards(dtype, combiner, shards, combined);
  return combined;
}

/** Each rank combines one block of all, and gathers the others'. The last blocks are filled up. */
async function reduceAndGather(group: NcclGroup, reduction: Reduction, exchange: Exchange): Promise<void> {
  const { nccl, handle, size } = group;
  const { from, to, bytes, stream, done, withMemory, read, write } = exchange;
  const width = elementBytes(reduction.dtype);
  const block = Math.ceil(bytes / width / size) * width;
  await withMemory(block * size, async (filled) => {
    const padded = new Uint8Array(block * size);
    padded.set(await read(from, bytes));
    write(filled, padded);
    await done();
    const combined = await combinedBlock(group, reduction, exchange, filled, block * size);
    await withMemory(block, async (mine) => {
      write(mine, combined);
      await done();
      nccl.call('ncclAllGather', mine, filled, block, bytesOfAny, handle, stream);
      await done();
    });
    write(to, (await read(filled, block * size)).subarray(0, bytes));
  });
}

const rules: { readonly [V in Verb]: Rule<CollectiveOf<V>> } = {
  all_gather: ({ nccl, handle }, _, { from, to, bytes, stream }) =>
    nccl.call('ncclAllGather', from, to, bytes, bytesOfAny, handle, stream),
  all_reduce: (group, collective, exchange) => {
    const type = nativeType(collective);
    if (type === undefined) return reduceAndGather(group, collective, exchange);
    const { from, to, bytes, stream } = exchange;
    const [count, operator] = [bytes / elementBytes(collective.dtype), operators[collective.combiner]];
    group.nccl.call('ncclAllReduce', from, to, count, type, operator, group.handle, stream);
  },
  reduce_scatter: async (group, collective, exchange) => {
    const { from, to, bytes, stream, write } = exchange;
    const type = nativeType(collective);
    if (type === undefined) return write(to, await combinedBlock(group, collective, exchange, from, bytes));
    const count = bytes / group.size / elementBytes(collective.dtype);
    const operator = operators[collective.combiner];
    group.nccl.call('ncclReduceScatter', from, to, count, type, operator, group.handle, stream);
  },
  all_to_all: (group, _, { from, to, bytes, stream }) => allToAll(group, from, to, bytes, stream),
  shift: (group, { by }, { from, to, bytes, stream }) => {
    const { nccl, handle, rank, size } = group;
    together(group, () => {
      nccl.call('ncclSend', from, bytes, bytesOfAny, shiftSource(rank, -by, size), handle, stream);
      nccl.call('ncclRecv', to, bytes, bytesOfAny, shiftSource(rank, by, size), handle, stream);
    });
  },
  broadcast: ({ nccl, handle }, { root }, { from, to, bytes, stream }) =>
    nccl.call('ncclBroadcast', from, to, bytes, bytesOfAny, root, handle, stream),
  barrier: ({ nccl, handle }, _, { stream, done, withMemory }) =>
    withMemory(1, async (word) => {
      nccl.call('ncclAllReduce', word, word, 1, bytesOfAny, operators.max, handle, stream);
      await done();
    }),
};

/** Fulfilled when the result is at `to`. Nothing is moved of tensors without elements. */
export async function perform(group: NcclGroup, collective: Collective, exchange: Exchange): Promise<void> {
  if (exchange.bytes === 0 && collective.verb !== 'barrier') return;
  await (rules[collective.verb] as Rule<Collective>)(group, collective, exchange);
  await exchange.done();
}
