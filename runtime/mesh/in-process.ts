/**
 * Logical ranks in one process: the same interface as over MPI, with all shards at hand. It also says what
 * the collectives mean; the tests compare MPI with it.
 */
import { UserError } from '../errors.ts';
import {
  type Collective,
  type CollectiveOf,
  checkExchange,
  describeCollective,
  shiftSource,
  type Verb,
} from './collective.ts';
import type { Communicator, World } from './communicator.ts';
import { reduceShards } from './reduce.ts';
import { splitGroup } from './split.ts';
import { closing, declareGroup, type Group, type Ledger, newLedger, recordStep } from './watch/ledger.ts';

/** What each rank sends and where it receives, by rank. */
interface Buffers {
  readonly send: readonly Uint8Array[];
  readonly receive: readonly Uint8Array[];
}

/** Block `index` of `count` equal ones. */
function block(bytes: Uint8Array, index: number, count: number): Uint8Array {
  const size = bytes.byteLength / count;
  return bytes.subarray(index * size, (index + 1) * size);
}

type Meaning<C extends Collective> = (collective: C, buffers: Buffers) => void;

const meanings: { readonly [V in Verb]: Meaning<CollectiveOf<V>> } = {
  all_gather: (_, { send, receive }) => {
    for (const result of receive)
      for (const [rank, shard] of send.entries()) block(result, rank, send.length).set(shard);
  },
  all_reduce: ({ dtype, combiner }, { send, receive }) => {
    const [first, ...others] = receive as [Uint8Array, ...Uint8Array[]];
    reduceShards(dtype, combiner, send, first);
    for (const result of others) result.set(first);
  },
  reduce_scatter: ({ dtype, combiner }, { send, receive }) => {
    for (const [rank, result] of receive.entries()) {
      const blocks = send.map((shard) => block(shard, rank, send.length));
      reduceShards(dtype, combiner, blocks, result);
    }
  },
  all_to_all: (_, { send, receive }) => {
    for (const [to, result] of receive.entries())
      for (const [from, blocks] of send.entries())
        block(result, from, send.length).set(block(blocks, to, send.length));
  },
  shift: ({ by }, { send, receive }) => {
    for (const [rank, result] of receive.entries()) result.set(send[shiftSource(rank, by, send.length)]!);
  },
  broadcast: ({ root }, { send, receive }) => {
    for (const result of receive) result.set(send[root]!);
  },
  barrier: () => {},
};

/**
 * What ranks send and receive, by rank, of a collective that all of them call. What one receives may be where
 * it sends from, where the verb works in place.
 */
export function performCollective(
  collective: Collective,
  send: readonly Uint8Array[],
  receive: readonly Uint8Array[],
): void {
  (meanings[collective.verb] as Meaning<Collective>)(collective, { send, receive });
}

/** What a rank has called, while it waits for the others. */
interface Call {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** What all groups of a job share. Once it has failed, every call fails. */
interface Job {
  readonly ledger: Ledger;
  readonly meetings: Map<string, Meeting>;
  readonly waiting: Set<Call>;
  failure: Error | undefined;
}

/** Where the members of a group meet. */
interface Meeting {
  readonly group: Group;
  /** By member: calls that wait. The first of all members belong together. */
  readonly queues: readonly Call[][];
  /** By member: calls so far. */
  readonly steps: number[];
}

function meetingOf(job: Job, group: Group): Meeting {
  const known = job.meetings.get(group.id);
  if (known !== undefined) return known;
  declareGroup(job.ledger, group);
  const meeting = { group, queues: group.members.map(() => []), steps: group.members.map(() => 0) };
  job.meetings.set(group.id, meeting);
  return meeting;
}

/** @returns The error with which the job failed first. */
function fail(job: Job, error: Error): Error {
  job.failure ??= error;
  for (const call of job.waiting) call.reject(job.failure);
  job.waiting.clear();
  return job.failure;
}

/** Fulfilled when all members have called the same, and the last of them has performed it for all. */
function meet(
  job: Job,
  { group, queues, steps }: Meeting,
  member: number,
  what: string,
  buffers: Pick<Call, 'send' | 'receive'>,
  perform: (buffers: Buffers) => void,
): Promise<void> {
  if (job.failure !== undefined) return Promise.reject(job.failure);
  const step = { group: group.id, step: steps[member]!++, what };
  const fault = recordStep(job.ledger, group.members[member]!, step);
  if (fault !== undefined)
    return Promise.reject(
      fail(job, new UserError('wrong-input', fault, 'run the same program on all ranks')),
    );
  return new Promise((resolve, reject) => {
    const call = { ...buffers, resolve, reject };
    job.waiting.add(call);
    queues[member]!.push(call);
    if (queues.some((queue) => queue.length === 0)) return;
    const calls = queues.map((queue) => queue.shift()!);
    perform({ send: calls.map(({ send }) => send), receive: calls.map(({ receive }) => receive) });
    for (const each of calls) {
      job.waiting.delete(each);
      each.resolve();
    }
  });
}

function member(job: Job, group: Group, place: number): Communicator {
  const meeting = meetingOf(job, group);
  const { size, rank } = { size: group.members.length, rank: place };
  let splits = 0;
  const communicator: Communicator = {
    label: group.label,
    rank,
    size,
    async exchange(collective, send, receive) {
      checkExchange(collective, size, send, receive);
      const what = describeCollective(collective, send.byteLength);
      await meet(job, meeting, rank, what, { send, receive }, (all) =>
        performCollective(collective, all.send, all.receive),
      );
    },
    async split(color, key, label) {
      const part = await splitGroup(communicator, group, { index: splits++, color, key, label });
      return member(job, part, part.members.indexOf(group.members[rank]!));
    },
  };
  return communicator;
}

/**
 * The ranks of a job of `size` logical devices, by rank. A call on one of them waits for the others' calls.
 */
export function inProcess(size: number): readonly World[] {
  const job: Job = { ledger: newLedger(), meetings: new Map(), waiting: new Set(), failure: undefined };
  const ranks = Array.from({ length: size }, (_, rank) => rank);
  const world: Group = { id: 'world', label: 'world', members: ranks };
  const nothing = { send: new Uint8Array(), receive: new Uint8Array() };
  return ranks.map((rank) => ({
    ...member(job, world, rank),
    neighbours: size,
    close: () => meet(job, meetingOf(job, world), rank, closing, nothing, () => {}),
    abort: async (reason) => {
      throw fail(
        job,
        new UserError('device-lost', `rank ${rank} gave up: ${reason}`, 'see what it says itself'),
      );
    },
  }));
}
