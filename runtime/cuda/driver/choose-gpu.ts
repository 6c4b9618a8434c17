/** Which GPU, and whether it can run what is written for it. */
import { type PtxTarget, targetOf } from '../../../compiler/tiles/ptx-target.ts';
import { UserError } from '../../errors.ts';
import { type Cuda, versionText } from './library.ts';

export interface Gpu {
  /** CUDA's number of it, from 0, among those that it sees. */
  readonly ordinal: number;
  readonly name: string;
  readonly target: PtxTarget;
  /** Of the compute capability: `9.0`. */
  readonly capability: string;
  readonly multiprocessors: number;
  /** Shared memory that a block may have. */
  readonly sharedBytes: number;
  readonly l2Bytes: number;
  readonly memoryBytes: number;
  /** The version of CUDA that its driver is of: `13.0`. */
  readonly driver: string;
}

/** CUdevice_attribute. */
const attributes = {
  multiprocessors: 16,
  l2Bytes: 38,
  major: 75,
  minor: 76,
  sharedBytes: 97,
  memoryPools: 115,
} as const;

/**
 * @param place of the process among those of its machine: they take the GPUs in turn
 * @throws UserError `no-device` when there is none, or it lacks what kernels need
 */
export function chooseGpu(cuda: Cuda, place: number): Gpu {
  cuda.call('cuInit', 0);
  const number = new Int32Array(1);
  cuda.call('cuDeviceGetCount', number);
  const count = number[0]!;
  if (count === 0) throw cuda.failure('cuDeviceGetCount', noDevice);
  cuda.call('cuDeviceGet', number, place % count);
  const device = number[0]!;
  const attribute = (name: keyof typeof attributes) => {
    cuda.call('cuDeviceGetAttribute', number, attributes[name], device);
    return number[0]!;
  };
  const name = nameOf(cuda, device);
  const [major, minor] = [attribute('major'), attribute('minor')];
  const target = targetOf(major, minor);
  if (target === undefined)
    throw new UserError(
      'no-device',
      `${name} has compute capability ${major}.${minor}, and kernels are written for 8.0 and later`,
      'use a GPU of 2020 or later (Ampere, Ada, Hopper), or --target wgsl, which runs on it',
    );
  if (attribute('memoryPools') === 0)
    throw new UserError(
      'no-device',
      `${name} has no memory pools under this driver (CUDA ${versionText(cuda.version)})`,
      'use a GPU that is not shared through a virtual machine without them',
    );
  const bytes = new BigUint64Array(1);
  cuda.call('cuDeviceTotalMem_v2', bytes, device);
  return {
    ...{ ordinal: device, name, target, capability: `${major}.${minor}` },
    multiprocessors: attribute('multiprocessors'),
    sharedBytes: attribute('sharedBytes'),
    l2Bytes: attribute('l2Bytes'),
    memoryBytes: Number(bytes[0]!),
    driver: versionText(cuda.version),
  };
}

/** CUDA_ERROR_NO_DEVICE */
const noDevice = 100;
const nameBytes = 256;

function nameOf(cuda: Cuda, device: number): string {
  const text = Buffer.alloc(nameBytes);
  cuda.call('cuDeviceGetName', text, nameBytes, device);
  return text.toString('utf8', 0, text.indexOf(0));
}
