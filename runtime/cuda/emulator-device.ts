/** The emulator as a device: PTX on the processor, and one error for whatever a kernel may not do. */
import {
  EmulatedDevice,
  LaunchError,
  type LaunchOptions,
  type LoadedModule,
  LostThread,
  placeOf,
} from '../../backends/cuda-ptx/emulator/device.ts';
import { EmulatorFault } from '../../backends/cuda-ptx/emulator/fault.ts';
import { encodeTensorMap, mapProblem } from '../../backends/cuda-ptx/emulator/tensor-map.ts';
import { parsePtx } from '../../backends/cuda-ptx/parse.ts';
import type { PtxModule } from '../../backends/cuda-ptx/ptx.ts';
import { PtxError } from '../../backends/cuda-ptx/ptx-error.ts';
import { bytesOf, type PtxType } from '../../backends/cuda-ptx/ptx-types.ts';
import { bytesText } from '../../compiler/plan/storage-bytes.ts';
import type { PtxTarget } from '../../compiler/tiles/ptx-target.ts';
import { UserError } from '../errors.ts';
import type { CudaDevice, TensorMap } from './device.ts';

export type EmulatorOptions = LaunchOptions & { readonly target?: PtxTarget };

/** All devices are parts of one: its memory is as large as any can be. */
let shared: EmulatedDevice | undefined;

const swizzles = { 0: 'none', 32: '32B', 64: '64B', 128: '128B' } as const;
/** As elements of 16 bits, or bytes, are moved. */
const mapTypes: { readonly [D in TensorMap['dtype']]: PtxType } = {
  ...{ f32: 'f32', tf32: 'tf32', i32: 's32', u32: 'u32', bf16: 'bf16', f16: 'f16' },
  ...{ f8e4m3: 'u8', f8e5m2: 'u8', i8: 'u8', u8: 'u8', bool: 'u8' },
};

function emulatedMap({ address, dtype, shape, strides, box, swizzle }: TensorMap): Uint8Array {
  const type = mapTypes[dtype];
  const map = { type, dims: shape, strides, box, swizzle: swizzles[swizzle] };
  const problem = mapProblem(map, bytesOf(type));
  if (problem !== undefined) throw new Error(`a tensor map cannot be: ${problem}`);
  return encodeTensorMap({ ...map, start: placeOf(address) });
}

/** Each launch is done when it returns. */
export function emulatorDevice({ target = 'sm_90a', ...options }: EmulatorOptions = {}): CudaDevice {
  shared ??= new EmulatedDevice();
  const own = shared;
  const allocated = new Set<bigint>();
  const loaded = new Set<LoadedModule>();
  const free = (address: bigint): void => {
    if (!allocated.delete(address)) throw new Error(`nothing is allocated at 0x${address.toString(16)}`);
    own.free(address);
  };
  const unload = (module: LoadedModule): void => {
    if (loaded.delete(module)) module.unload();
  };
  return {
    name: 'the emulator',
    target,
    allocate: (bytes, name) => {
      const address = inMemory(bytes, () => own.allocate(bytes, name));
      allocated.add(address);
      return address;
    },
    free,
    clear: (address, bytes) => own.write(address, new Uint8Array(bytes)),
    write: (address, bytes) => own.write(address, bytes),
    copy: (from, to, bytes) => own.copy(from, to, bytes),
    read: async (address, bytes) => {
      const contents = new Uint8Array(bytes);
      own.read(address, contents);
      return contents;
    },
    // Kernels that are not watched do not say what they write.
    ...(options.checksMemory !== false && {
      forget: (address, bytes, mayBeRead) => own.forget(address, bytes, mayBeRead),
      unwritten: (address, bytes) => own.unwritten(address, bytes),
    }),
    load: (ptx) => {
      const parsed = parsedModule(ptx);
      const module = own.load(parsed);
      loaded.add(module);
      return {
        kernel: (name) => {
          if (!parsed.functions.some((each) => each.isEntry && each.name === name))
            throw new UserError(
              'device-refused',
              `the module has no kernel ${name}`,
              'compile the package again',
            );
          const kernel = module.kernel(name);
          return {
            launch: (shape, parameters) =>
              running(name, parsed, () => {
                kernel.launch(shape, parameters, options);
              }),
          };
        },
        unload: () => unload(module),
      };
    },
    tensorMap: (map) => emulatedMap(map),
    synchronize: async () => undefined,
    release: () => {
      for (const address of allocated) free(address);
      for (const module of loaded) unload(module);
    },
  };
}

/** @throws UserError `out-of-memory` */
function inMemory(bytes: number, allocate: () => bigint): bigint {
  try {
    return allocate();
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    throw new UserError(
      'out-of-memory',
      `the emulator has no room for ${bytesText(bytes)}: its memory is ${bytesText(2 ** 31)}`,
      'use smaller sizes, or another --target',
    );
  }
}

/** @throws UserError `device-refused` */
function parsedModule(ptx: string): PtxModule {
  try {
    return parsePtx(ptx);
  } catch (error) {
    if (!(error instanceof PtxError)) throw error;
    const { line, column } = error.place;
    throw new UserError(
      'device-refused',
      `the emulator refuses the kernels: line ${line}, column ${column} of the PTX: ${error.message}`,
      'compile the package again; if it is as it was compiled, report this as a fault of the compiler',
    );
  }
}

/** @throws UserError for what a kernel does that it may not, or that it cannot be launched */
function running(kernel: string, { files }: PtxModule, work: () => void): void {
  try {
    work();
  } catch (error) {
    const help = 'report this as a fault of the compiler; --target reference may serve meanwhile';
    if (error instanceof EmulatorFault) {
      const { place, source, instruction } = error;
      const at = place === undefined ? '' : `, line ${place.line} of its PTX`;
      const file = source && files.get(source.file);
      const from = file === undefined ? '' : `, from ${file}:${source!.line}`;
      const what = instruction === undefined ? '' : ` (${instruction}${from})`;
      throw new UserError('kernel-fault', `kernel ${kernel}${at}: ${error.message}${what}`, help);
    }
    if (error instanceof PtxError)
      throw new UserError(
        'device-refused',
        `kernel ${kernel}, line ${error.place.line} of its PTX: ${error.message}`,
        help,
      );
    if (error instanceof LostThread)
      throw new UserError(
        'device-lost',
        `kernel ${kernel}: ${error.message}`,
        'run again; if it happens again with the same program, use smaller sizes or --target reference',
      );
    if (error instanceof LaunchError)
      throw new UserError(
        'exceeds-device',
        `kernel ${kernel} cannot be launched in the emulator: ${error.message}`,
        'use smaller sizes, or another --target',
      );
    throw error;
  }
}
