/**
 * A WebGPU device with all that its adapter offers, what it can do as plain data, and its failures as errors.
 */
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import { UserError } from '../errors.ts';

export interface OpenedDevice {
  readonly device: GPUDevice;
  readonly profile: DeviceProfile;
  /** One line for people: `SwiftShader driver (software), subgroups of 4`. */
  readonly description: string;
  readonly timestamps: boolean;
  /**
   * Runs `work`, which gives commands to the device, and waits for what it returns.
   * @throws UserError when the device refused a command, ran out of memory, or was lost meanwhile. `what` is
   * its subject in the message: `the kernel softmax_scores`.
   */
  readonly guard: <T>(what: string, work: () => T | Promise<T>) => Promise<T>;
  /** Frees all that was made on it. */
  readonly destroy: () => void;
}

const wantedFeatures = ['shader-f16', 'subgroups', 'timestamp-query'] as const;

const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** Uses the adapter up: a second device takes a second `openAdapter`. */
export async function openDevice(adapter: GPUAdapter): Promise<OpenedDevice> {
  const device = await adapter
    .requestDevice({
      requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
      requiredLimits: Object.fromEntries(wantedLimits.map((limit) => [limit, adapter.limits[limit]])),
    })
    .catch((error: unknown) => {
      throw new UserError(
        'no-device',
        `the adapter ${adapterName(adapter.info)} gives no device: ${messageOf(error)}`,
        'close other programs that use the GPU, or choose another adapter',
      );
    });
  return opened(device, adapter.info);
}

/** A device that someone else has made, with the features and limits that it was made with. */
export function adoptDevice(device: GPUDevice): OpenedDevice {
  return opened(device, device.adapterInfo);
}

function opened(device: GPUDevice, info: GPUAdapterInfo): OpenedDevice {
  const profile = deviceProfile(device, info);
  return {
    device,
    profile,
    description: describe(profile),
    timestamps: device.features.has('timestamp-query'),
    guard: guardOf(device),
    destroy: () => device.destroy(),
  };
}

function deviceProfile(device: GPUDevice, info: GPUAdapterInfo): DeviceProfile {
  const { limits, features } = device;
  const { subgroupMinSize, subgroupMaxSize } = info;
  const fixedSubgroups = features.has('subgroups') && subgroupMinSize === subgroupMaxSize;
  return {
    name: adapterName(info),
    software: info.isFallbackAdapter,
    maxStorageBuffersPerStage: limits.maxStorageBuffersPerShaderStage,
    maxBindingBytes: limits.maxStorageBufferBindingSize,
    maxBufferBytes: limits.maxBufferSize,
    maxWorkgroupBytes: limits.maxComputeWorkgroupStorageSize,
    maxInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxWorkgroupSize: [
      limits.maxComputeWorkgroupSizeX,
      limits.maxComputeWorkgroupSizeY,
      limits.maxComputeWorkgroupSizeZ,
    ],
    maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    f16: features.has('shader-f16'),
    subgroupSize: fixedSubgroups ? subgroupMinSize : undefined,
  };
}

function adapterName(info: GPUAdapterInfo): string {
  return info.description || info.device || info.architecture || info.vendor || 'WebGPU adapter';
}

function describe(profile: DeviceProfile): string {
  return [
    profile.software ? `${profile.name} (software)` : profile.name,
    ...(profile.subgroupSize === undefined ? [] : [`subgroups of ${profile.subgroupSize}`]),
    ...(profile.f16 ? ['f16'] : []),
  ].join(', ');
}

// ── failures ───────────────────────────────────────────────────────────────────────────────────────────────

const scopes: readonly GPUErrorFilter[] = ['validation', 'out-of-memory', 'internal'];

function guardOf(device: GPUDevice): OpenedDevice['guard'] {
  /** The device's last failure: a lost device never recovers, an uncaptured error goes to the next guard. */
  let lost: UserError | undefined;
  let uncaptured: UserError | undefined;
  /** Who waits for work of the device. (A race with `device.lost` itself would keep all that ever ran in it.) */
  const waiting = new Set<(lost: UserError) => void>();
  void device.lost.then((info) => {
    lost = new UserError(
      'device-lost',
      `the device was lost: ${info.message || info.reason}`,
      'run again; if it happens again with the same program, use smaller sizes or --target reference',
    );
    for (const tell of waiting) tell(lost);
  });
  const unlessLost = <T>(work: Promise<T>): Promise<T | UserError> => {
    let tell: (lost: UserError) => void = () => undefined;
    return new Promise<T | UserError>((resolve, reject) => {
      tell = resolve;
      waiting.add(tell);
      work.then(resolve, reject);
    }).finally(() => waiting.delete(tell));
  };
  device.addEventListener('uncapturederror', (event) => {
    // Otherwise it is also printed on the console.
    event.preventDefault();
    uncaptured ??= failure('the device', errorFilterOf(event.error), event.error.message);
  });

  return async (what, work) => {
    if (lost !== undefined) throw lost;
    for (const filter of scopes) device.pushErrorScope(filter);
    // The scopes see what is issued until they are popped, so `work` must be over before anyone else's
    // begins.
    let outcome: { value: ReturnType<typeof work> } | { thrown: unknown };
    try {
      outcome = { value: work() };
    } catch (error) {
      outcome = { thrown: error };
    }
    const popped = [...scopes].reverse().map(async (filter) => {
      const error = await device.popErrorScope();
      return error === null ? undefined : failure(what, filter, error.message);
    });
    const finished = Promise.all([
      Promise.all(popped),
      'value' in outcome
        ? Promise.resolve(outcome.value).then(
            (value) => ({ value }),
            (thrown: unknown) => ({ thrown }),
          )
        : outcome,
    ]);
    const first = await unlessLost(finished).catch((error: unknown) => lost ?? asFailure(what, error));
    if (first instanceof UserError) throw first;
    const [errors, result] = first;
    const error = errors.find((at) => at !== undefined) ?? uncaptured;
    uncaptured = undefined;
    if (error !== undefined) throw error;
    if ('thrown' in result) throw lost ?? asFailure(what, result.thrown);
    return result.value;
  };
}

/** Dawn's error classes are not global in Node; their names are what the standard fixes. */
function errorFilterOf(error: GPUError): GPUErrorFilter {
  if (error.constructor.name === 'GPUOutOfMemoryError') return 'out-of-memory';
  return error.constructor.name === 'GPUInternalError' ? 'internal' : 'validation';
}

/** What a guarded piece of work threw: as it is when it already is an error for the user. */
function asFailure(what: string, error: unknown): UserError {
  if (error instanceof UserError) return error;
  // The standard has buffer creation throw this when memory for its mapping cannot be had.
  if (error instanceof RangeError) return failure(what, 'out-of-memory', error.message);
  return failure(what, 'internal', messageOf(error));
}

/** A failure of the device as an error for the user. */
export function failure(what: string, filter: GPUErrorFilter, message: string): UserError {
  const reason = message.trim().split('\n')[0] ?? '';
  switch (filter) {
    case 'out-of-memory':
      return new UserError(
        'out-of-memory',
        `the device has no memory left for ${what}${reason === '' ? '' : `: ${reason}`}`,
        'use smaller sizes or narrower element types, or a device with more memory',
      );
    case 'validation':
    case 'internal':
      return new UserError(
        'device-refused',
        `the device refused ${what}: ${message.trim()}`,
        'this is a fault of the compiler or of the driver: please report it; --target reference still runs ' +
          'it',
      );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
