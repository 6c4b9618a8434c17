import type { Allowance } from './allowances.ts';
import type { Rates } from './device-rates.ts';
import type { PtxTarget } from './ptx-target.ts';

/**
 * What a schedule must respect and may use of a device. Plain data: read off an adapter, or written for a
 * test.
 */
export interface DeviceProfile {
  readonly name: string;
  /** Whether the adapter runs on the CPU: schedules then avoid barriers and workgroup memory. */
  readonly software: boolean;
  readonly maxStorageBuffersPerStage: number;
  /** Bytes of one storage binding. */
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  /** Bytes of workgroup memory. */
  readonly maxWorkgroupBytes: number;
  readonly maxInvocationsPerWorkgroup: number;
  readonly maxWorkgroupSize: readonly [number, number, number];
  readonly maxWorkgroupsPerDimension: number;
  /** `shader-f16`: f16 storage and arithmetic. Without it f16 is unpacked from 32-bit words. */
  readonly f16: boolean;
  /** Subgroup size when it is fixed and subgroups may be used; undefined otherwise. */
  readonly subgroupSize: number | undefined;
  /** How fast it is, where that was measured. */
  readonly rates?: Rates | undefined;
  /** Present where warps of 32 neighbours have matrix units. */
  readonly units?: MatrixUnits;
  /**
   * Elements of a row that an invocation keeps in its registers, so that a row is read once, or many reads
   * are under way at once. Present where an invocation has registers enough, and reads 16 bytes at once.
   */
  readonly keptElements?: number;
  /** Present where an invocation is a thread of a processor, which schedules then are for. */
  readonly core?: Core;
}

/** They multiply numbers of 16 bits and add in f32. */
export interface MatrixUnits {
  /** Multiprocessors, each of which runs a workgroup or a few at a time. */
  readonly processors: number;
  /** Bytes of workgroup memory that a kernel for them may have. */
  readonly workgroupBytes: number;
  /** Whether four warps above each other make products together, which read both factors from there. */
  readonly warpgroups: boolean;
  /** What users allow them that changes results. */
  readonly allowed?: readonly Allowance[];
}

export interface Core {
  /** The block of a product that fits into its registers. */
  readonly rows: number;
  readonly columns: number;
  /** That of attention, of whose rows vectors are made too. */
  readonly streamed: { readonly rows: number; readonly columns: number };
  /**
   * Whether relaxed SIMD may be used: a multiply-add in one instruction, which the processor rounds once or
   * twice.
   */
  readonly multiplyAdd: boolean;
}

/** What every WebGPU adapter offers at least: the default limits of the standard. */
export const leastDevice: DeviceProfile = {
  name: 'the least device',
  software: false,
  maxStorageBuffersPerStage: 8,
  maxBindingBytes: 2 ** 27,
  maxBufferBytes: 2 ** 28,
  maxWorkgroupBytes: 16_384,
  maxInvocationsPerWorkgroup: 256,
  maxWorkgroupSize: [256, 256, 64],
  maxWorkgroupsPerDimension: 65_535,
  f16: false,
  subgroupSize: undefined,
};

/**
 * The processor, by the WebAssembly that every engine has: invocations one after the other, so nothing is
 * gained by many of them.
 */
export const wasmDevice: DeviceProfile = {
  name: 'WebAssembly',
  software: true,
  maxStorageBuffersPerStage: 64,
  maxBindingBytes: 2 ** 32 - 2 ** 16,
  maxBufferBytes: 2 ** 32 - 2 ** 16,
  maxWorkgroupBytes: 0,
  maxInvocationsPerWorkgroup: 256,
  maxWorkgroupSize: [256, 256, 1],
  maxWorkgroupsPerDimension: 2 ** 31 - 1,
  f16: false,
  subgroupSize: undefined,
  // Eight vectors of sums, four of a row of the one factor and two of the other, or two and four: V8 has
  // fifteen registers for them. Sixteen columns are a whole line of a cache.
  core: { rows: 2, columns: 16, streamed: { rows: 4, columns: 8 }, multiplyAdd: false },
};

/** The same with relaxed SIMD. */
export const relaxedWasmDevice: DeviceProfile = {
  ...wasmDevice,
  core: { rows: 2, columns: 16, streamed: { rows: 4, columns: 8 }, multiplyAdd: true },
};

/**
 * An NVIDIA GPU from compute capability 8.0 on, by what all of them have without asking for more (CUDA C++
 * Programming Guide, "Compute Capabilities").
 */
const cudaDevice: DeviceProfile = {
  name: 'CUDA',
  software: false,
  maxStorageBuffersPerStage: 64,
  maxBindingBytes: 2 ** 40,
  maxBufferBytes: 2 ** 40,
  maxWorkgroupBytes: 48 * 1024,
  maxInvocationsPerWorkgroup: 1024,
  maxWorkgroupSize: [1024, 1, 1],
  maxWorkgroupsPerDimension: 65_535,
  f16: true,
  subgroupSize: undefined,
  keptElements: 32,
  // Of H100 and H200; and what 8.6 and 8.9, which have least, let a block have of shared memory.
  units: { processors: 132, workgroupBytes: 99 * 1024, warpgroups: false },
};

/** Those of Hopper: compute capability 9.0 and its own features. */
const hopperDevice: DeviceProfile = {
  ...cudaDevice,
  name: 'CUDA, Hopper',
  units: { processors: 132, workgroupBytes: 227 * 1024, warpgroups: true },
};

/** By what PTX is written for. */
export const cudaDevices: { readonly [T in PtxTarget]: DeviceProfile } = {
  sm_80: cudaDevice,
  sm_90a: hopperDevice,
};
