/** How fast a device is, as far as a choice among schedules depends on it. */
import type { DeviceProfile } from './device-profile.ts';

/**
 * Seconds for each of what the cost model counts. Those of an invocation are what it takes by itself, of a
 * vector as of a single value; `invocations` of them run at once.
 */
export interface Rates {
  readonly invocations: number;
  /** A multiply-add from registers. */
  readonly arithmetic: number;
  /** From memory that a cache holds. */
  readonly load: number;
  /** From workgroup memory. */
  readonly shared: number;
  /** From a lane to all of a subgroup. */
  readonly broadcast: number;
  readonly barrier: number;
  /** Beside what its invocations take. */
  readonly workgroup: number;
  /** From the end of a kernel to the beginning of the next. */
  readonly kernel: number;
}

/** What was measured of the device, or else what those of its kind are taken to do. */
export function ratesOf(device: DeviceProfile): Rates {
  if (device.rates !== undefined) return device.rates;
  if (device.core !== undefined) return coreRates;
  return device.software ? softwareRates : gpuRates;
}

/** As of WebAssembly on a core of 2023. */
const coreRates: Rates = {
  invocations: 2,
  arithmetic: 1.7e-10,
  load: 1.8e-10,
  shared: 1.8e-10,
  broadcast: 1.8e-10,
  barrier: 1e-12,
  workgroup: 2.5e-8,
  kernel: 2e-6,
};

/** Between SwiftShader and lavapipe on two cores. */
const softwareRates: Rates = {
  invocations: 8,
  arithmetic: 4.5e-9,
  load: 2.5e-8,
  shared: 2e-8,
  broadcast: 1.5e-9,
  barrier: 1.5e-7,
  workgroup: 6e-7,
  kernel: 5e-6,
};

/** Of no GPU that was measured. */
const gpuRates: Rates = {
  invocations: 4096,
  arithmetic: 4e-9,
  load: 3.2e-8,
  shared: 8e-9,
  broadcast: 4e-9,
  barrier: 8e-8,
  workgroup: 1e-7,
  kernel: 5e-6,
};
