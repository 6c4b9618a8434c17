/** The communicator over MPI: one process a rank, started by `mpiexec` or `srun`. */
import { availableParallelism, hostname, networkInterfaces } from 'node:os';
import { UserError } from '../../errors.ts';
import { type Collective, checkExchange, describeCollective } from '../collective.ts';
import type { Communicator, World } from '../communicator.ts';
import { splitGroup } from '../split.ts';
import { newQueue, newSteps, type Steps } from '../steps.ts';
import { closing, type Group } from '../watch/ledger.ts';
import type { Address, Patience } from '../watch/messages.ts';
import { type Sentinel, startSentinel, type Watch } from '../watch/rank-watch.ts';
import { type MpiGroup, type Rule, rules } from './collectives.ts';
import { type Launcher, launchedBy } from './launcher.ts';
import { loadMpi, type Mpi } from './library.ts';
import { newProgress } from './progress.ts';

export interface MpiOptions {
  readonly patience?: Patience;
}

/** A first run may compile kernels and read weights for minutes while the others wait. */
const defaultPatience: Patience = { notice: 60, last: 600 };

/**
 * Joins the job that this process was started for; a process that was started by itself is a job of one rank.
 * At most once in a process. From then on the process ends, with status 1 and a line on standard error that
 * says why, when another rank dies, throws, or calls what does not match.
 *
 * @throws UserError `no-device` when there is no MPI library, or when it is not the one of the launcher.
 */
export async function openMpi({ patience = defaultPatience }: MpiOptions = {}): Promise<World> {
  const launcher = launchedBy(process.env);
  const mpi = await loadMpi(launcher, process.env);
  const sentinel = startSentinel(process.env);
  try {
    const { rank, size } = initialize(mpi);
    checkSize(mpi, launcher, size);
    const hosts = gatherTexts(mpi, hostname(), size);
    await joinWatch(mpi, sentinel, rank, hosts, patience);
    const neighbours = hosts.filter((host) => host === hosts[rank]).length;
    const progress = newProgress(mpi, neighbours > availableParallelism());
    const group = { mpi, progress, handle: mpi.constants.world, rank, size };
    return newWorld(group, neighbours, sentinel.watch());
  } catch (error) {
    sentinel.dismiss();
    throw error;
  }
}

/** Of MPI itself: which rank this is, of how many. */
export function initialize(mpi: Mpi): { readonly rank: number; readonly size: number } {
  const number = new Int32Array(new ArrayBuffer(4));
  const { world, errorsReturn } = mpi.constants;
  mpi.call('MPI_Init_thread', null, null, mpi.abi.threadFunneled, number);
  mpi.call('MPI_Comm_set_errhandler', world, errorsReturn);
  mpi.call('MPI_Comm_rank', world, number);
  const rank = number[0]!;
  mpi.call('MPI_Comm_size', world, number);
  return { rank, size: number[0]! };
}

/** The library of one MPI under the launcher of another sees a job of one rank, in each of the processes. */
function checkSize(mpi: Mpi, launcher: Launcher | undefined, size: number): void {
  if (launcher?.ranks === undefined || launcher.ranks === size) return;
  throw new UserError(
    'no-device',
    `${launcher.name} started ${launcher.ranks} ranks, but the library ${mpi.name} sees ${size}`,
    'start it with the mpiexec of that library, or name another libmpi in RICCI_MPI_LIBRARY',
  );
}

/** Names under which other hosts may reach this one. */
export function namesOfHost(): readonly string[] {
  const addresses = Object.values(networkInterfaces())
    .flat()
    .flatMap((found) => (found === undefined || found.internal ? [] : [found.address]));
  return [hostname(), ...addresses];
}

/** Connects the sentinels. Every rank has started, so that these blocking calls are short. */
async function joinWatch(
  mpi: Mpi,
  sentinel: Sentinel,
  rank: number,
  hosts: readonly string[],
  patience: Patience,
): Promise<void> {
  const options = { patience, name: `process ${process.pid} on ${hostname()}` };
  const oneHost = new Set(hosts).size === 1;
  if (rank === 0) {
    const address = await sentinel.listen(hosts.length, oneHost ? [] : namesOfHost(), options);
    broadcastText(mpi, JSON.stringify(address));
  } else {
    const address = JSON.parse(broadcastText(mpi, undefined)) as Address;
    await sentinel.join(address, rank, options);
  }
}

/** Longer texts are cut. */
const textBytes = 4096;

/** A text of each rank, on all of them. */
export function gatherTexts(mpi: Mpi, text: string, size: number): readonly string[] {
  const mine = Buffer.alloc(textBytes);
  mine.write(text);
  const all = Buffer.alloc(textBytes * size);
  const { byte, world } = mpi.constants;
  mpi.call('MPI_Allgather', mine, textBytes, byte, all, textBytes, byte, world);
  return Array.from({ length: size }, (_, rank) =>
    all.toString('utf8', rank * textBytes, (rank + 1) * textBytes).replace(/\0+$/, ''),
  );
}

/** Rank 0 gives the text, and all get it. */
function broadcastText(mpi: Mpi, text: string | undefined): string {
  const { byte, int32, world } = mpi.constants;
  const length = new Int32Array(new ArrayBuffer(4));
  if (text !== undefined) length[0] = Buffer.byteLength(text);
  mpi.call('MPI_Bcast', length, 1, int32, 0, world);
  const bytes = Buffer.alloc(length[0]!);
  if (text !== undefined) bytes.write(text);
  mpi.call('MPI_Bcast', bytes, bytes.byteLength, byte, 0, world);
  return bytes.toString('utf8');
}

function newMember(group: MpiGroup, ranks: Group, watch: Watch, steps: Steps): Communicator {
  const { mpi, progress, rank, size } = group;
  let splits = 0;
  const communicator: Communicator = {
    label: ranks.label,
    rank,
    size,
    async exchange(collective, send, receive) {
      checkExchange(collective, size, send, receive);
      const rule = rules[collective.verb] as Rule<Collective>;
      const what = describeCollective(collective, send.byteLength);
      await steps.run(what, () => rule(group, collective, outsideHeap(send), outsideHeap(receive)));
    },
    async split(color, key, label) {
      const part = await splitGroup(communicator, ranks, { index: splits++, color, key, label });
      const handles = mpi.handles(1);
      await steps.run(`split into ${label}`, async () =>
        mpi.call('MPI_Comm_split', group.handle, color, key, handles),
      );
      watch.declare(part);
      const place = part.members.indexOf(ranks.members[rank]!);
      const handle = handles[0]!;
      const member = { mpi, progress, handle, rank: place, size: part.members.length };
      return newMember(member, part, watch, newSteps(watch, part, newQueue()));
    },
  };
  return communicator;
}

/** The same memory. Small typed arrays move until someone asks for their buffer. */
function outsideHeap({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function newWorld(group: MpiGroup, neighbours: number, watch: Watch): World {
  const members = Array.from({ length: group.size }, (_, rank) => rank);
  const ranks: Group = { id: 'world', label: 'world', members };
  const steps = newSteps(watch, ranks, newQueue());
  watch.declare(ranks);
  return {
    ...newMember(group, ranks, watch, steps),
    neighbours,
    async close() {
      await steps.run(closing, () =>
        rules.barrier(group, { verb: 'barrier' }, new Uint8Array(), new Uint8Array()),
      );
      watch.leave();
      group.mpi.call('MPI_Finalize');
    },
    abort: (reason) => {
      watch.abort(reason);
      // The watch ends this process.
      return new Promise(() => {});
    },
  };
}
