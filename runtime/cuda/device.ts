/** What runs modules of PTX, as packages see it. */
import type { PtxTarget } from '../../compiler/tiles/ptx-target.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { Gpu } from './driver/choose-gpu.ts';

/**
 * Where modules of PTX run: a GPU through the CUDA driver, or the emulator. Work runs in the order it was
 * given.
 */
export interface CudaDevice {
  readonly name: string;
  /** What it runs: `sm_90a` runs what is for `sm_80` too. */
  readonly target: PtxTarget;
  /** What it is, where it is a GPU. */
  readonly gpu?: Gpu;
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
   * Where the device knows who wrote its memory: from now on nobody did.
   * @param mayBeRead whether kernels may still read what is there
   */
  readonly forget?: (address: bigint, bytes: number, mayBeRead: boolean) => void;
  /** Where the device knows: of each byte 1 if nobody has written it since it was forgotten, else 0. */
  readonly unwritten?: (address: bigint, bytes: number) => Uint8Array;
  /**
   * @param progress hears how many kernels are compiled, of how many
   * @throws UserError `device-refused`, with the device's own log, where the PTX is refused
   */
  readonly load: (ptx: string, progress?: (done: number, total: number) => void) => CudaModule;
  /** What a kernel's copies of boxes go by: `tensorMapBytes` of memory that begin at a multiple of 64. */
  readonly tensorMap: (map: TensorMap) => Uint8Array;
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

/** Extents, strides and boxes have the innermost dimension first. */
export interface TensorMap {
  readonly address: bigint;
  /** `tf32`: of f32 numbers, which are rounded to it on the way. */
  readonly dtype: Dtype | 'tf32';
  /** Elements along each dimension, one to five of them. */
  readonly shape: readonly number[];
  /** Bytes from one to the next along each dimension but the innermost: multiples of 16. */
  readonly strides: readonly number[];
  /** Elements of what one copy moves: at most 256 along a dimension. */
  readonly box: readonly number[];
  /** Bytes of a row within which 16-byte pieces change places in shared memory; 0: none do. */
  readonly swizzle: 0 | 32 | 64 | 128;
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
