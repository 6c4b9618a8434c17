/**
 * Devices that take the launches of a package one by one, and whose memory the host reaches: what runs on one
 * device, on a mesh of logical ones and as a rank of a job is the same on all of them.
 */
import type { Sizes } from '../compiler/graph/extent.ts';
import type { Launch } from '../compiler/plan/walk-steps.ts';
import type { TensorData } from './weights/tensor-data.ts';

/** What a device does by itself. */
export type OwnLaunch = Exclude<Launch, { readonly kind: 'exchange' }>;

/** Where a device is along an axis of the mesh that the package is for. */
export type Coordinate = (axis: string) => number;

export interface LaunchDevice {
  /** @throws UserError `wrong-input`. Inputs left out stay as last given. */
  readonly write: (inputs: ReadonlyMap<string, TensorData>, sizes?: Sizes) => void;
  /**
   * To be called before the first launch of a run, where what the run before left in memory is told from what
   * this one computes.
   */
  readonly begin?: () => void;
  /**
   * Behind all that was given before; it need not be done when this returns.
   * @throws UserError `device-refused`, `device-lost`, `kernel-fault`; as may whatever waits for it
   */
  readonly perform: (launch: OwnLaunch) => void;
  /** Waits until all is done. */
  readonly finish: () => Promise<void>;
  /** The first bytes of a buffer, once all is done: good until the buffer is written to. */
  readonly sent: (buffer: number, bytes: number) => Promise<Uint8Array>;
  /** Where the first bytes of a buffer arrive. */
  readonly arriving: (buffer: number, bytes: number) => Arriving;
  /** Where a buffer is in memory that a communicator may reach. */
  readonly address?: (buffer: number) => bigint;
  /**
   * The outputs, once all is done.
   * @param finalBuffer as `walkSteps` says
   * @throws UserError `kernel-fault` where it is known that nobody computed an element
   */
  readonly read: (finalBuffer: readonly number[]) => Promise<Map<string, TensorData>>;
}

export interface Arriving {
  readonly room: Uint8Array;
  /** To be called when the bytes are in the room. */
  readonly done: () => void;
}

/** A package on some devices. */
export interface LaunchDevices {
  /** Of memory, all devices together. */
  readonly bytes: number;
  readonly devices: readonly LaunchDevice[];
  readonly destroy: () => void;
}
