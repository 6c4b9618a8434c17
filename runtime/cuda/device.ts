/** What runs modules of PTX, as packages see it. */
import type { PtxTarget } from '../../compiler/tiles/ptx-target.ts';

/**
 * Where modules of PTX run: a GPU through the CUDA driver, or the emulator. Work runs in the order it was
 * given.
 */
export interface CudaDevice {
  readonly name: string;
  /** What it runs: `sm_90a` runs what is for `sm_80` too. */
  readonly target: PtxTarget;
  /**
   * A device address, 256-byte aligned. Nothing is in that memory.
   * @param name what faults call it, where the device tells of whose memory they are
   * @throws UserError `out-of-memory`
   */
  readonly allocate: (bytes: number, name?: string) => bigint;
  readonly free: (address: bigint) => void;
  /** Makes zeros of it. */
  readonly clear: (address: bigint, bytes: number) => void;
  /** The bytes may be overwritten once it returns. */
  readonly write: (address: bigint, bytes: Uint8Array) => void;
  readonly copy: (from: bigint, to: bigint, bytes: number) => void;
  /** After all that was given before. */
  readonly read: (address: bigint, bytes: number) => Promise<Uint8Array>;
  /**
   * @param progress hears how many kernels are compiled, of how many
   * @throws UserError `device-refused`, with the device's own log, where the PTX is refused
   */
  readonly load: (ptx: string, progress?: (done: number, total: number) => void) => CudaModule;
  /** Where the device can: the launches and copies that `record` gives are kept, and given again as one. */
  readonly capture?: (record: () => void) => Recording;
  /**
   * Waits until all is done.
   * @throws UserError `kernel-fault` or `device-lost` for what went wrong since the last wait
   */
  readonly synchronize: () => Promise<void>;
  /** Frees all that it has. */
  readonly release: () => void;
}

/** Launches and copies with all that they were given. */
export interface Recording {
  readonly launch: () => void;
  readonly destroy: () => void;
}

export interface CudaModule {
  readonly kernel: (entry: string) => CudaKernel;
  readonly unload: () => void;
}

type Extent3 = readonly [number, number, number];

export interface LaunchShape {
  /** Blocks, at least one in each dimension. */
  readonly grid: Extent3;
  /** Threads of a block. */
  readonly block: Extent3;
  /** Of shared memory, beside what the kernel declares. */
  readonly sharedBytes: number;
  /** Blocks of a cluster; one where it is left out. */
  readonly cluster?: Extent3;
}

export interface CudaKernel {
  /** @param parameters as the kernel lays them out, little endian; they are taken when it returns */
  readonly launch: (shape: LaunchShape, parameters: Uint8Array) => void;
}
