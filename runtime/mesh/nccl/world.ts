/** The communicator over NCCL: one process a rank, each with a GPU of its own. */
import { hostname } from 'node:os';
import { type DriverDevice, openGpu } from '../../cuda/driver/open.ts';
import { checkExchange, describeCollective } from '../collective.ts';
import type { Communicator, World } from '../communicator.ts';
import { namesOfHost } from '../mpi/world.ts';
import { splitGroup } from '../split.ts';
import { newQueue, newSteps, type Queue, type Steps } from '../steps.ts';
import { closing, type Group } from '../watch/ledger.ts';
import type { Address, Patience } from '../watch/messages.ts';
import { type Sentinel, startSentinel, type Watch } from '../watch/rank-watch.ts';
import { type Bootstrap, findRanks } from './bootstrap.ts';
import { type Exchange, type NcclGroup, perform } from './collectives.ts';
import { loadNccl, type Nccl, uniqueIdBytes } from './library.ts';

export interface NcclOptions {
  readonly environment?: NodeJS.ProcessEnv;
  readonly patience?: Patience;
}

/** A rank's end of a group, for tensors that are on its GPU already. */
export interface DeviceCommunicator extends Communicator {
  readonly exchangeOnDevice: NonNullable<Communicator['exchangeOnDevice']>;
  split(color: number, key: number, label: string): Promise<DeviceCommunicator>;
}

export interface NcclWorld extends DeviceCommunicator, Pick<World, 'neighbours' | 'close' | 'abort'> {
  readonly device: DriverDevice;
}

/** A first run may compile kernels and read weights for minutes while the others wait. */
const defaultPatience: Patience = { notice: 60, last: 600 };
/**
 * Milliseconds between two looks for errors that NCCL has of other ranks, and from such an error to its being
 * told: where a rank has died the watch says so first, and ends this process.
 */
const [attention, grace] = [100, 2000];
/** ncclInProgress: what was called last is not done yet. */
const inProgress = 7;

/**
 * Joins the job that this process was started for, by mpiexec, torchrun or srun; one that was started by
 * itself is a job of one rank. From then on the process ends, with status 1 and a line on standard error that
 * says why, when another rank dies, throws, or calls what does not match.
 *
 * @throws UserError `no-device` when there is no NCCL, no GPU, or the ranks do not find each other
 */
export async function openNccl({
  environment = process.env,
  patience = defaultPatience,
}: NcclOptions = {}): Promise<NcclWorld> {
  const nccl = await loadNccl(environment);
  const device = await openGpu({ environment });
  const sentinel = startSentinel(environment);
  try {
    const bootstrap = await findRanks(environment);
    const hosts = await bootstrap.gather(hostname());
    await joinWatch(bootstrap, sentinel, hosts, patience);
    device.enter();
    const id = await uniqueId(nccl, bootstrap);
    const handle = new BigUint64Array(1);
    nccl.call('ncclCommInitRank', handle, bootstrap.size, id, bootstrap.rank);
    const neighbours = hosts.filter((host) => host === hosts[bootstrap.rank]).length;
    const communicators = newCommunicators(nccl, handle[0]!);
    const watch = sentinel.watch(communicators.abort);
    return newWorld(nccl, device, bootstrap, communicators, neighbours, watch);
  } catch (error) {
    sentinel.dismiss();
    device.release();
    throw error;
  }
}

/** Rank 0 makes it, and all get it. */
async function uniqueId(nccl: Nccl, { rank, gather }: Bootstrap): Promise<Uint8Array> {
  const id = new Uint8Array(uniqueIdBytes);
  if (rank === 0) nccl.call('ncclGetUniqueId', id);
  const [text] = await gather(Buffer.from(id).toString('base64'));
  return new Uint8Array(Buffer.from(text!, 'base64'));
}

async function joinWatch(
  { rank, size, gather }: Bootstrap,
  sentinel: Sentinel,
  hosts: readonly string[],
  patience: Patience,
): Promise<void> {
  const options = { patience, name: `process ${process.pid} on ${hostname()}` };
  const oneHost = new Set(hosts).size === 1;
  const own = rank === 0 ? await sentinel.listen(size, oneHost ? [] : namesOfHost(), options) : undefined;
  const [first] = await gather(JSON.stringify(own ?? null));
  if (rank > 0) await sentinel.join(JSON.parse(first!) as Address, rank, options);
}

/** All of a rank, each an ncclComm_t. */
interface Communicators {
  readonly world: bigint;
  readonly add: (handle: bigint) => void;
  /** After all that was given to them. */
  readonly destroy: () => void;
  /** Ends what is under way: whoever waits for a rank that has died would do so for ever. */
  readonly abort: () => void;
  /** Whether there are none any more. */
  readonly isOver: () => boolean;
}

function newCommunicators(nccl: Nccl, world: bigint): Communicators {
  const handles = [world];
  const endEach = (call: 'ncclCommDestroy' | 'ncclCommAbort') => () => {
    for (let handle = handles.pop(); handle !== undefined; handle = handles.pop()) nccl.code(call, handle);
  };
  return {
    world,
    add: (handle) => {
      handles.push(handle);
    },
    destroy: endEach('ncclCommDestroy'),
    abort: endEach('ncclCommAbort'),
    isOver: () => handles.length === 0,
  };
}

/** What the groups of a rank share. */
interface Shared {
  readonly device: DriverDevice;
  readonly watch: Watch;
  /** Of all groups: what shares a stream comes in one order on all ranks. */
  readonly queue: Queue;
  readonly communicators: Communicators;
  /** What comes behind the call of its result comes after what the device was given before this call. */
  readonly follow: () => () => void;
  readonly exchangeBetween: (group: NcclGroup, from: bigint, to: bigint, bytes: number) => Exchange;
}

function newShared(nccl: Nccl, device: DriverDevice, communicators: Communicators, watch: Watch): Shared {
  const stream = device.newStream();
  const follow = () => {
    const given = device.newEvent();
    given.record(device.stream);
    return () => {
      stream.waitFor(given);
      given.destroy();
    };
  };
  const withMemory: Exchange['withMemory'] = async (bytes, work) => {
    const address = device.allocate(bytes);
    follow()();
    try {
      return await work(address);
    } finally {
      device.free(address);
    }
  };
  return {
    ...{ device, watch, queue: newQueue(), communicators, follow },
    exchangeBetween: ({ handle }, from, to, bytes) => ({
      ...{ from, to, bytes, stream: stream.handle, withMemory, read: device.read },
      write: (address, given) => {
        device.write(address, given);
        follow()();
      },
      copy: (source, target) => {
        device.copy(source, target, bytes);
        follow()();
      },
      done: () => settledOrFailed(nccl, handle, communicators, stream.settled()),
    }),
  };
}

/** NCCL's errors do not end its kernels: they are asked for, and all communicators are given up. */
async function settledOrFailed(
  nccl: Nccl,
  handle: bigint,
  communicators: Communicators,
  settled: Promise<void>,
): Promise<void> {
  const code = new Int32Array(1);
  let looking: NodeJS.Timeout | undefined;
  const failed = new Promise<never>((_, reject) => {
    looking = setInterval(() => {
      if (communicators.isOver()) return clearInterval(looking);
      if (nccl.code('ncclCommGetAsyncError', handle, code) !== 0) return;
      if (code[0] === 0 || code[0] === inProgress) return;
      clearInterval(looking);
      const failure = nccl.failure('ncclCommGetAsyncError', code[0]!);
      communicators.abort();
      setTimeout(() => reject(failure), grace);
    }, attention);
  });
  try {
    await Promise.race([settled, failed]);
  } finally {
    clearInterval(looking);
  }
}

function newMember(shared: Shared, group: NcclGroup, ranks: Group, steps: Steps): DeviceCommunicator {
  const { device, watch, queue, communicators, exchangeBetween } = shared;
  const { nccl, rank, size } = group;
  let splits = 0;
  const communicator: DeviceCommunicator = {
    label: ranks.label,
    ...{ rank, size },
    async exchange(collective, send, receive) {
      checkExchange(collective, size, send, receive);
      await steps.run(describeCollective(collective, send.byteLength), async () => {
        const { withMemory } = exchangeBetween(group, 0n, 0n, 0);
        await withMemory(send.byteLength, (from) =>
          withMemory(receive.byteLength, async (to) => {
            const exchange = exchangeBetween(group, from, to, send.byteLength);
            exchange.write(from, send);
            await perform(group, collective, exchange);
            receive.set(await device.read(to, receive.byteLength));
          }),
        );
      });
    },
    async exchangeOnDevice(collective, from, to, bytes) {
      const follow = shared.follow();
      await steps.run(describeCollective(collective, bytes), async () => {
        follow();
        const exchange = exchangeBetween(group, from, to, bytes);
        if (from !== to || collective.verb === 'all_reduce') return perform(group, collective, exchange);
        await exchange.withMemory(bytes, (apart) => {
          exchange.copy(from, apart);
          return perform(group, collective, { ...exchange, from: apart });
        });
      });
    },
    async split(color, key, label) {
      const part = await splitGroup(communicator, ranks, { index: splits++, color, key, label });
      const handle = new BigUint64Array(1);
      await steps.run(`split into ${label}`, async () => {
        device.enter();
        nccl.call('ncclCommSplit', group.handle, color, key, handle, null);
      });
      communicators.add(handle[0]!);
      watch.declare(part);
      const place = part.members.indexOf(ranks.members[rank]!);
      const member = { nccl, handle: handle[0]!, rank: place, size: part.members.length };
      return newMember(shared, member, part, newSteps(watch, part, queue));
    },
  };
  return communicator;
}

function newWorld(
  nccl: Nccl,
  device: DriverDevice,
  { rank, size, close }: Bootstrap,
  communicators: Communicators,
  neighbours: number,
  watch: Watch,
): NcclWorld {
  const shared = newShared(nccl, device, communicators, watch);
  const members = Array.from({ length: size }, (_, place) => place);
  const ranks: Group = { id: 'world', label: 'world', members };
  const steps = newSteps(watch, ranks, shared.queue);
  const group: NcclGroup = { nccl, handle: communicators.world, rank, size };
  watch.declare(ranks);
  return {
    ...newMember(shared, group, ranks, steps),
    ...{ neighbours, device },
    async close() {
      const nothing = shared.exchangeBetween(group, 0n, 0n, 0);
      await steps.run(closing, () => perform(group, { verb: 'barrier' }, nothing));
      watch.leave();
      communicators.destroy();
      device.release();
      close();
    },
    abort: (reason) => {
      watch.abort(reason);
      communicators.abort();
      // The watch ends this process.
      return new Promise(() => {});
    },
  };
}
