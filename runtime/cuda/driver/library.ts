/** Finds NVIDIA's driver, and makes its functions callable. */
import type { LibraryHandle } from 'koffi';
import { UserError } from '../../errors.ts';
import { failureOf, isFault } from './failures.ts';

/**
 * Parameters of the functions used here, under the names that the library exports: those with a version are
 * what the header's names stand for. All return an error code; 0 is success. Handles, device addresses and
 * sizes are `uint64_t`; results are written to memory.
 */
const signatures = {
  cuInit: ['uint32_t'],
  cuDriverGetVersion: ['void *'],
  cuDeviceGetCount: ['void *'],
  cuDeviceGet: ['void *', 'int'],
  cuDeviceGetName: ['void *', 'int', 'int'],
  cuDeviceGetAttribute: ['void *', 'int', 'int'],
  cuDeviceTotalMem_v2: ['void *', 'int'],
  cuDevicePrimaryCtxRetain: ['void *', 'int'],
  cuDevicePrimaryCtxRelease_v2: ['int'],
  cuCtxSetCurrent: ['uint64_t'],
  cuMemGetInfo_v2: ['void *', 'void *'],
  cuMemPoolCreate: ['void *', 'void *'],
  cuMemPoolSetAttribute: ['uint64_t', 'int', 'void *'],
  cuMemPoolDestroy: ['uint64_t'],
  cuMemAllocFromPoolAsync: ['void *', 'uint64_t', 'uint64_t', 'uint64_t'],
  cuMemFreeAsync: ['uint64_t', 'uint64_t'],
  cuMemAllocHost_v2: ['void *', 'uint64_t'],
  cuMemFreeHost: ['uint64_t'],
  cuMemsetD8Async: ['uint64_t', 'uint8_t', 'uint64_t', 'uint64_t'],
  cuMemcpyHtoDAsync_v2: ['uint64_t', 'uint64_t', 'uint64_t', 'uint64_t'],
  cuMemcpyDtoHAsync_v2: ['uint64_t', 'uint64_t', 'uint64_t', 'uint64_t'],
  cuMemcpyDtoDAsync_v2: ['uint64_t', 'uint64_t', 'uint64_t', 'uint64_t'],
  cuStreamCreate: ['void *', 'uint32_t'],
  cuStreamDestroy_v2: ['uint64_t'],
  cuStreamQuery: ['uint64_t'],
  cuStreamSynchronize: ['uint64_t'],
  cuStreamWaitEvent: ['uint64_t', 'uint64_t', 'uint32_t'],
  cuStreamBeginCapture_v2: ['uint64_t', 'int'],
  cuStreamEndCapture: ['uint64_t', 'void *'],
  cuGraphInstantiateWithFlags: ['void *', 'uint64_t', 'uint64_t'],
  cuGraphLaunch: ['uint64_t', 'uint64_t'],
  cuGraphExecDestroy: ['uint64_t'],
  cuGraphDestroy: ['uint64_t'],
  cuEventCreate: ['void *', 'uint32_t'],
  cuEventRecord: ['uint64_t', 'uint64_t'],
  cuEventQuery: ['uint64_t'],
  cuEventSynchronize: ['uint64_t'],
  cuEventElapsedTime: ['void *', 'uint64_t', 'uint64_t'],
  cuEventDestroy_v2: ['uint64_t'],
  cuModuleLoadDataEx: ['void *', 'void *', 'uint32_t', 'void *', 'void *'],
  cuModuleGetFunction: ['void *', 'uint64_t', 'void *'],
  cuModuleUnload: ['uint64_t'],
  cuFuncSetAttribute: ['uint64_t', 'int', 'int'],
  cuLaunchKernelEx: ['void *', 'uint64_t', 'void *', 'void *'],
  cuTensorMapEncodeTiled: [
    ...(['void *', 'int', 'uint32_t', 'uint64_t', 'void *', 'void *', 'void *', 'void *'] as const),
    ...(['int', 'int', 'int', 'int'] as const),
  ],
} as const;

type Parameter = 'int' | 'uint8_t' | 'uint32_t' | 'uint64_t' | 'void *';
/** Memory is passed as an array over it. */
type Memory = Uint8Array | Int32Array | Uint32Array | Float32Array | BigUint64Array | null;
type Value<P extends Parameter> = P extends 'uint64_t'
  ? bigint | number
  : P extends 'void *'
    ? Memory
    : number;
type Values<S extends readonly Parameter[]> = { readonly [I in keyof S]: Value<S[I]> };

export type CudaFunction = keyof typeof signatures;
type Arguments<F extends CudaFunction> = Values<(typeof signatures)[F]>;

export interface Cuda {
  /** The version of CUDA that the driver is of: 12040 is 12.4. */
  readonly version: number;
  /** @throws UserError or Error by `failures.ts`, when the function fails. */
  readonly call: <F extends CudaFunction>(name: F, ...values: Arguments<F>) => void;
  /** The function's error code. */
  readonly code: <F extends CudaFunction>(name: F, ...values: Arguments<F>) => number;
  /** What to throw when a function gave a code; `detail` is a clause behind CUDA's words: what was asked. */
  readonly failure: (name: CudaFunction, code: number, detail?: string) => Error;
  /** The address of an array's memory, the same for as long as the array is referred to. */
  readonly address: (array: Exclude<Memory, null>) => bigint;
  /** Memory of the host at an address, as an array. */
  readonly view: (address: bigint, bytes: number) => Uint8Array;
}

export interface CudaWords {
  /** `CUDA_ERROR_NO_DEVICE` */
  readonly name: string;
  /** `no CUDA-capable device is detected` */
  readonly text: string;
}

/** The file of libcuda, when it is not to be searched for; or `none`, not to use a GPU that is there. */
const libraryVariable = 'RICCI_CUDA_LIBRARY';
const usualLibrary = 'libcuda.so.1';

/** The first with launches by attributes and tensor maps, and what PTX for sm_90a needs. */
const oldestVersion = 12_000;

/** @throws UserError `no-device` when there is no driver, or one that is too old */
export async function loadDriver(environment: NodeJS.ProcessEnv): Promise<Cuda> {
  const { default: koffi } = await import('koffi').catch((error: unknown) => {
    throw new UserError(
      'no-device',
      `C libraries cannot be called here: ${messageOf(error)}`,
      'use a platform that koffi is built for',
    );
  });
  const chosen = environment[libraryVariable];
  if (chosen === 'none')
    throw new UserError('no-device', `${libraryVariable}=none`, 'unset it to use the GPU of this machine');
  const file = chosen ?? usualLibrary;
  const library = open(() => koffi.load(file, { lazy: true }), chosen);
  const version = open(() => versionOf(library), chosen);
  if (version < oldestVersion)
    throw new UserError(
      'no-device',
      `the NVIDIA driver is too old: it has CUDA ${versionText(version)}, and ${versionText(oldestVersion)} is needed`,
      'install driver 525.60 or later',
    );
  return {
    ...bind(library, version),
    address: koffi.address,
    view: (address, bytes) => new Uint8Array(koffi.view(address, bytes)),
  };
}

function open<T>(attempt: () => T, chosen: string | undefined): T {
  try {
    return attempt();
  } catch (error) {
    throw chosen === undefined
      ? new UserError(
          'no-device',
          `no NVIDIA driver found (${messageOf(error).replace('Failed to load shared library', usualLibrary)})`,
          'install the driver of the GPU; without a GPU, PTX runs in the emulator',
        )
      : new UserError(
          'no-device',
          `the library chosen by ${libraryVariable} cannot be used: ${messageOf(error)}`,
          `name the file of libcuda, or unset ${libraryVariable}`,
        );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Asked before anything else is: a driver that is too old has not all functions. */
function versionOf(library: LibraryHandle): number {
  const version = new Int32Array(1);
  (library.func('cuDriverGetVersion', 'int', ['void *']) as (version: Int32Array) => number)(version);
  return version[0]!;
}

/** `12.4` */
export function versionText(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
}

function bind(library: LibraryHandle, version: number): Omit<Cuda, 'address' | 'view'> {
  const functions: { readonly [name: string]: (...values: readonly unknown[]) => number } =
    Object.fromEntries(
      Object.entries(signatures).map(([name, types]) => [name, library.func(name, 'int', [...types])]),
    );
  type Explain = (code: number, text: (string | null)[]) => number;
  const nameOf: Explain = library.func('int cuGetErrorName(int code, _Out_ const char **text)');
  const textOf: Explain = library.func('int cuGetErrorString(int code, _Out_ const char **text)');
  const said = (explain: Explain, code: number): string | undefined => {
    const text: (string | null)[] = [null];
    return explain(code, text) === 0 ? (text[0] ?? undefined) : undefined;
  };
  const words = (code: number): CudaWords => ({
    name: said(nameOf, code) ?? `CUDA error ${code}`,
    text: said(textOf, code) ?? 'not known to the driver',
  });
  const code: Cuda['code'] = (name, ...values) => functions[name]!(...values);
  const failure: Cuda['failure'] = (name, number, detail) => failureOf(name, words(number), detail);
  return { version, code, failure, call: calling(code, failure) };
}

function calling(code: Cuda['code'], failure: Cuda['failure']): Cuda['call'] {
  return (name, ...values) => {
    const number = code(name, ...values);
    if (number !== 0) throw failure(name, number);
  };
}

/** The same, where the error of a kernel says in addition which may be meant. */
export function tellingOf(cuda: Cuda, ran: () => string | undefined): Cuda {
  const failure: Cuda['failure'] = (name, number, detail) => {
    const told = cuda.failure(name, number, detail);
    const kernels = ran();
    return detail === undefined && kernels !== undefined && isFault(told)
      ? cuda.failure(name, number, kernels)
      : told;
  };
  return { ...cuda, failure, call: calling(cuda.code, failure) };
}
