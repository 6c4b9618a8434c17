/** What a code of the CUDA driver means for who runs a program. */
import { isUserError, UserError, type UserErrorCode } from '../../errors.ts';
import type { CudaWords } from './library.ts';

interface Meaning {
  readonly code: UserErrorCode;
  /** What happened, before CUDA's own words. */
  readonly what: string;
  readonly help: string;
}

const noGpu: Meaning = {
  code: 'no-device',
  what: 'there is no GPU that CUDA can use',
  help: 'see what nvidia-smi says, and CUDA_VISIBLE_DEVICES; without a GPU, PTX runs in the emulator',
};
const brokenDriver: Meaning = {
  code: 'no-device',
  what: 'the NVIDIA driver does not work',
  help: 'see what nvidia-smi says: after a new driver the machine may have to be started again',
};
const noMemory: Meaning = {
  code: 'out-of-memory',
  what: 'the memory of the GPU is full',
  help: 'make the sizes smaller, or end what else runs on the GPU (nvidia-smi lists it)',
};
const refused: Meaning = {
  code: 'device-refused',
  what: 'the driver does not take the kernels',
  help: 'install a newer driver; if it is newer than the PTX, please report this as a fault of ricci',
};
const tooMuch: Meaning = {
  code: 'exceeds-device',
  what: 'a kernel needs more than a multiprocessor of the GPU has',
  help: 'please report this as a fault of ricci, with the GPU and the sizes',
};
const fault: Meaning = {
  code: 'kernel-fault',
  what: 'a kernel did what it may not',
  help: 'run the same in the emulator, which names the instruction and the line; please report it with the sizes',
};
const lost: Meaning = {
  code: 'device-lost',
  what: 'the GPU is lost',
  help: 'see what nvidia-smi and the log of the system say of it (Xid), and start again',
};
const timeout: Meaning = {
  code: 'kernel-fault',
  what: 'a kernel ran longer than the system lets it',
  help: 'use a GPU that drives no display, or make the sizes smaller',
};

/** By CUDA's name. What has none here, such as an argument that is wrong, is a fault of this program. */
const meanings: { readonly [name: string]: Meaning } = {
  CUDA_ERROR_NO_DEVICE: noGpu,
  CUDA_ERROR_INVALID_DEVICE: noGpu,
  CUDA_ERROR_DEVICE_NOT_LICENSED: noGpu,
  CUDA_ERROR_DEVICE_UNAVAILABLE: {
    ...noGpu,
    what: 'another process has the GPU for itself',
    help: 'wait for it, or set the compute mode of the GPU to default (nvidia-smi -c 0)',
  },
  CUDA_ERROR_NOT_INITIALIZED: brokenDriver,
  CUDA_ERROR_STUB_LIBRARY: brokenDriver,
  CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER: brokenDriver,
  CUDA_ERROR_SYSTEM_NOT_READY: brokenDriver,
  CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: brokenDriver,
  CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: brokenDriver,
  CUDA_ERROR_OPERATING_SYSTEM: brokenDriver,
  CUDA_ERROR_OUT_OF_MEMORY: noMemory,
  CUDA_ERROR_INVALID_IMAGE: refused,
  CUDA_ERROR_NO_BINARY_FOR_GPU: refused,
  CUDA_ERROR_INVALID_PTX: refused,
  CUDA_ERROR_INVALID_SOURCE: refused,
  CUDA_ERROR_UNSUPPORTED_PTX_VERSION: refused,
  CUDA_ERROR_JIT_COMPILER_NOT_FOUND: {
    ...refused,
    what: "the driver's compiler of PTX is not installed",
    help: 'install libnvidia-ptxjitcompiler.so.1, which comes with the driver',
  },
  CUDA_ERROR_JIT_COMPILATION_DISABLED: {
    ...refused,
    what: "the driver's compiler of PTX is turned off",
    help: 'unset CUDA_DISABLE_JIT and CUDA_DISABLE_PTX_JIT',
  },
  CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: tooMuch,
  CUDA_ERROR_INVALID_CLUSTER_SIZE: tooMuch,
  CUDA_ERROR_ILLEGAL_ADDRESS: fault,
  CUDA_ERROR_ASSERT: fault,
  CUDA_ERROR_HARDWARE_STACK_ERROR: fault,
  CUDA_ERROR_ILLEGAL_INSTRUCTION: fault,
  CUDA_ERROR_MISALIGNED_ADDRESS: fault,
  CUDA_ERROR_INVALID_ADDRESS_SPACE: fault,
  CUDA_ERROR_INVALID_PC: fault,
  CUDA_ERROR_LAUNCH_FAILED: fault,
  CUDA_ERROR_LAUNCH_TIMEOUT: timeout,
  CUDA_ERROR_DEINITIALIZED: lost,
  CUDA_ERROR_ECC_UNCORRECTABLE: lost,
  CUDA_ERROR_NVLINK_UNCORRECTABLE: lost,
  CUDA_ERROR_CONTAINED: lost,
  CUDA_ERROR_CONTEXT_IS_DESTROYED: lost,
  CUDA_ERROR_EXTERNAL_DEVICE: lost,
  CUDA_ERROR_MPS_CLIENT_TERMINATED: lost,
  CUDA_ERROR_UNKNOWN: lost,
};

/** @param detail what was asked for, or which kernels ran: a clause behind CUDA's words */
export function failureOf(call: string, { name, text }: CudaWords, detail?: string): Error {
  const meaning = meanings[name];
  const said = `${name} (${text}) in ${call}${detail === undefined ? '' : `: ${detail}`}`;
  return meaning === undefined
    ? new Error(said)
    : new UserError(meaning.code, `${meaning.what}: ${said}`, meaning.help);
}

/** Whether it is of a kernel that ran before, whichever call told it. */
export function isFault(error: Error): boolean {
  return isUserError(error) && error.code === 'kernel-fault';
}
