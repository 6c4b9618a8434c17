/**
 * Each collective as calls of MPI. Where MPI's own reduction would not mean the same, shards are moved by MPI
 * and combined here: MPI has no narrow floats, and its maximum of a NaN depends on the order of the ranks.
 */
import { elementBytes } from '../../../compiler/plan/storage-bytes.ts';
import type { PendingCombiner } from '../../../dsl/placement/placement.ts';
import type { Dtype } from '../../../dsl/types/dtype.ts';
import { type Collective, type CollectiveOf, shiftSource, type Verb } from '../collective.ts';
import { reduceShards } from '../reduce.ts';
import type { Constant, Handle } from './abi.ts';
import type { Mpi } from './library.ts';
import type { Progress } from './progress.ts';

/** One rank's end of a group. */
export interface MpiGroup {
  readonly mpi: Mpi;
  readonly progress: Progress;
  readonly handle: Handle;
  readonly rank: number;
  readonly size: number;
}

export type Rule<C extends Collective> = (
  group: MpiGroup,
  collective: C,
  send: Uint8Array,
  receive: Uint8Array,
) => Promise<void>;

/** The element type of reductions that MPI does as the language means them. */
const mpiTypes: { readonly [D in Dtype]?: Constant } = {
  f32: 'float',
  i32: 'int32',
  u32: 'uint32',
  i8: 'int8',
  u8: 'uint8',
  bool: 'uint8',
};

interface NativeReduction {
  readonly type: Handle;
  readonly operator: Handle;
}

function nativeReduction(
  { mpi }: MpiGroup,
  dtype: Dtype,
  combiner: PendingCombiner,
): NativeReduction | undefined {
  const type = mpiTypes[dtype];
  if (type === undefined || (dtype === 'f32' && combiner !== 'sum')) return undefined;
  return { type: mpi.constants[type], operator: mpi.constants[combiner] };
}

/** MPI counts in C's int. */
const largestCount = 2 ** 31 - 1;

/** A count that MPI takes. @throws RangeError for more than 2³¹ − 1 elements */
function counted(count: number): number {
  if (count > largestCount)
    throw new RangeError(`MPI moves at most ${largestCount} elements in one call, not ${count}`);
  return count;
}

/**
 * How to call memory that is only moved: in words, where it is whole words, so that more of it can be
 * counted.
 */
function asMoved({ mpi }: MpiGroup, bytes: number): { readonly count: number; readonly type: Handle } {
  return bytes % 4 === 0
    ? { count: counted(bytes / 4), type: mpi.constants.uint32 }
    : { count: counted(bytes), type: mpi.constants.byte };
}

function allGather(group: MpiGroup, send: Uint8Array, receive: Uint8Array): Promise<void> {
  const { mpi, progress, handle } = group;
  const { count, type } = asMoved(group, send.byteLength);
  return progress.complete(
    [(request) => mpi.call('MPI_Iallgather', send, count, type, receive, count, type, handle, request)],
    [send, receive],
  );
}

function allToAll(group: MpiGroup, send: Uint8Array, receive: Uint8Array): Promise<void> {
  const { mpi, progress, handle, size } = group;
  const { count, type } = asMoved(group, send.byteLength / size);
  return progress.complete(
    [(request) => mpi.call('MPI_Ialltoall', send, count, type, receive, count, type, handle, request)],
    [send, receive],
  );
}

/** The block of this rank, combined over all. Narrow floats travel as they are stored. */
async function reduceBlocks(
  group: MpiGroup,
  { dtype, combiner }: { readonly dtype: Dtype; readonly combiner: PendingCombiner },
  send: Uint8Array,
  receive: Uint8Array,
): Promise<void> {
  const blocks = new Uint8Array(send.byteLength);
  await allToAll(group, send, blocks);
  const width = receive.byteLength;
  const shards = Array.from({ length: group.size }, (_, rank) =>
    blocks.subarray(rank * width, (rank + 1) * width),
  );
  reduceShards(dtype, combiner, shards, receive);
}

/** Each rank combines one block of all, and gathers the others'. The last blocks are filled up. */
async function reduceAndGather(
  group: MpiGroup,
  collective: CollectiveOf<'all_reduce'>,
  send: Uint8Array,
  receive: Uint8Array,
): Promise<void> {
  const width = elementBytes(collective.dtype);
  const block = Math.ceil(send.byteLength / width / group.size) * width;
  const filled = new Uint8Array(block * group.size);
  filled.set(send);
  const reduced = new Uint8Array(block);
  await reduceBlocks(group, collective, filled, reduced);
  await allGather(group, reduced, filled);
  receive.set(filled.subarray(0, receive.byteLength));
}

/** One message at a time is under way between two ranks of a group, in each direction. */
const shiftTag = 0;

export const rules: { readonly [V in Verb]: Rule<CollectiveOf<V>> } = {
  all_gather: (group, _, send, receive) => allGather(group, send, receive),
  all_reduce: (group, collective, send, receive) => {
    const { mpi, progress, handle } = group;
    const native = nativeReduction(group, collective.dtype, collective.combiner);
    if (native === undefined) return reduceAndGather(group, collective, send, receive);
    const { type, operator } = native;
    const count = counted(send.byteLength / elementBytes(collective.dtype));
    return progress.complete(
      [(request) => mpi.call('MPI_Iallreduce', send, receive, count, type, operator, handle, request)],
      [send, receive],
    );
  },
  reduce_scatter: (group, collective, send, receive) => {
    const { mpi, progress, handle } = group;
    const native = nativeReduction(group, collective.dtype, collective.combiner);
    if (native === undefined) return reduceBlocks(group, collective, send, receive);
    const { type, operator } = native;
    const count = counted(receive.byteLength / elementBytes(collective.dtype));
    return progress.complete(
      [
        (request) =>
          mpi.call('MPI_Ireduce_scatter_block', send, receive, count, type, operator, handle, request),
      ],
      [send, receive],
    );
  },
  all_to_all: (group, _, send, receive) => allToAll(group, send, receive),
  shift: (group, { by }, send, receive) => {
    const { mpi, progress, handle, rank, size } = group;
    const { count, type } = asMoved(group, send.byteLength);
    const [from, to] = [shiftSource(rank, by, size), shiftSource(rank, -by, size)];
    return progress.complete(
      [
        (request) => mpi.call('MPI_Irecv', receive, count, type, from, shiftTag, handle, request),
        (request) => mpi.call('MPI_Isend', send, count, type, to, shiftTag, handle, request),
      ],
      [send, receive],
    );
  },
  broadcast: (group, { root }, send, receive) => {
    const { mpi, progress, handle, rank } = group;
    const { count, type } = asMoved(group, send.byteLength);
    if (rank === root) receive.set(send);
    return progress.complete(
      [(request) => mpi.call('MPI_Ibcast', receive, count, type, root, handle, request)],
      [receive],
    );
  },
  barrier: ({ mpi, progress, handle }) =>
    progress.complete([(request) => mpi.call('MPI_Ibarrier', handle, request)], []),
};
