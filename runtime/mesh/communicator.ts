/**
 * What the ranks of a mesh say to each other: collectives over host bytes. One interface for logical ranks in
 * one process (`in-process.ts`) and for MPI, one process a rank (`mpi/world.ts`).
 *
 * Buffers are dense, row-major, little-endian, as `TensorData` holds them. Those of one exchange do not
 * overlap, and nobody touches them before its promise is fulfilled.
 */
import type { CudaDevice } from '../cuda/device.ts';
import type { Collective } from './collective.ts';

/** One rank's end of a group of ranks. */
export interface Communicator {
  /** What the group lies along, for messages: `world`, `sp`, `(node, gpu)`. */
  readonly label: string;
  /** This rank's number in the group: 0 … size − 1. */
  readonly rank: number;
  readonly size: number;
  /**
   * Starts a collective and returns at once; the promise is fulfilled when `receive` holds the result. Those
   * of one group run one after another in the order of the calls; those of different groups overlap.
   *
   * @throws RangeError (as a rejection) when the buffers are not of the collective's sizes.
   */
  exchange(collective: Collective, send: Uint8Array, receive: Uint8Array): Promise<void>;
  /**
   * As `exchange`, from memory to memory of the world's device, where it has one: it begins after all that the
   * device was given before, and goes on beside what it is given after. Both addresses may be one.
   * @param bytes that are sent
   */
  readonly exchangeOnDevice?: (
    collective: Collective,
    from: bigint,
    to: bigint,
    bytes: number,
  ) => Promise<void>;
  /**
   * A collective of its own: the ranks that give the same `color` (0 or more) form a group, in the order of
   * their `key`s. `label` names the group in messages.
   */
  split(color: number, key: number, label: string): Promise<Communicator>;
}

/** All ranks of a job. */
export interface World extends Communicator {
  /** Ranks on the machine of this one, which is one of them. */
  readonly neighbours: number;
  /** That whose memory it reaches. */
  readonly device?: CudaDevice;
  /** Waits until all ranks close, and ends communication. Nothing may be pending. */
  close(): Promise<void>;
  /**
   * Ends the job on all ranks, each of which says that this rank gave up, and why: one clause, no full stop.
   * Never fulfilled.
   */
  abort(reason: string): Promise<never>;
}
