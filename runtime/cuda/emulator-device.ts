/** The emulator as a device: PTX on the processor, and one error for whatever a kernel may not do. */
import { EmulatorFault } from '../../backends/cuda-ptx/emulator/fault.ts';
import { type Argument, type Launch, LaunchError, launch } from '../../backends/cuda-ptx/emulator/launch.ts';
import { parsePtx } from '../../backends/cuda-ptx/parse.ts';
import type { PtxFunction, PtxModule, Variable } from '../../backends/cuda-ptx/ptx.ts';
import { PtxError } from '../../backends/cuda-ptx/ptx-error.ts';
import { bytesText } from '../../compiler/plan/storage-bytes.ts';
import type { PtxTarget } from '../../compiler/tiles/ptx-target.ts';
import { UserError } from '../errors.ts';
import type { CudaDevice, CudaKernel } from './device.ts';

export type EmulatorOptions = Pick<Launch, 'checksMemory' | 'checksRaces' | 'copies'> & {
  readonly target?: PtxTarget;
};

interface Allocation {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** Whether anything wrote to it: until then a kernel that reads it is at fault. */
  isWritten: boolean;
}

/** Addresses begin there, so that 0 and small numbers are none. */
const firstAddress = 2n ** 32n;
const alignment = 256;

/**
 * Each launch is done when it returns. Pointers that kernels are given are those that `allocate` returned:
 * each is a buffer of its own, and who leaves it is at fault.
 */
export function emulatorDevice({ target = 'sm_90a', ...options }: EmulatorOptions = {}): CudaDevice {
  const allocations = new Map<bigint, Allocation>();
  let next = firstAddress;

  /** The memory there, of an allocation that has as much from there on. */
  const memoryAt = (address: bigint, bytes: number) => {
    const holds = ({ address: start, bytes: all }: Allocation) =>
      address >= start && address + BigInt(bytes) <= start + BigInt(all.byteLength);
    const found = allocations.get(address) ?? [...allocations.values()].find(holds);
    if (found === undefined || !holds(found))
      throw new Error(`${bytes} bytes at 0x${address.toString(16)} are in no allocation`);
    const first = Number(address - found.address);
    return { allocation: found, memory: found.bytes.subarray(first, first + bytes) };
  };
  const write = (address: bigint, bytes: Uint8Array): void => {
    const { allocation, memory } = memoryAt(address, bytes.byteLength);
    memory.set(bytes);
    allocation.isWritten = true;
  };

  const kernelOf = (module: PtxModule, entry: PtxFunction): CudaKernel => ({
    launch: (shape, parameters) => {
      const given = argumentsOf(entry.parameters, parameters, allocations);
      running(entry.name, () =>
        launch({ module, kernel: entry.name, ...shape, ...options, arguments: given.map(toArgument) }),
      );
      // What it did not write of them is not told apart: a later kernel may read all.
      for (const each of given) if (typeof each !== 'bigint') each.allocation.isWritten = true;
    },
  });

  return {
    name: 'the emulator',
    target,
    allocate: (bytes) => {
      const address = next;
      allocations.set(address, { address, bytes: emptyBytes(bytes), isWritten: false });
      next += BigInt(Math.ceil((bytes + 1) / alignment) * alignment);
      return address;
    },
    free: (address) => {
      if (!allocations.delete(address)) throw new Error(`nothing is allocated at 0x${address.toString(16)}`);
    },
    clear: (address, bytes) => write(address, new Uint8Array(bytes)),
    write,
    copy: (from, to, bytes) => write(to, memoryAt(from, bytes).memory),
    read: async (address, bytes) => memoryAt(address, bytes).memory.slice(),
    load: (ptx) => {
      const module = parsed(ptx);
      return {
        kernel: (name) => {
          const entry = module.functions.find((each) => each.isEntry && each.name === name);
          if (entry === undefined)
            throw new UserError(
              'device-refused',
              `the module has no kernel ${name}`,
              'compile the package again',
            );
          return kernelOf(module, entry);
        },
        unload: () => undefined,
      };
    },
    synchronize: async () => undefined,
    release: () => allocations.clear(),
  };
}

function emptyBytes(bytes: number): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (error) {
    throw new UserError(
      'out-of-memory',
      `there is no room for ${bytesText(bytes)}: ${(error as Error).message}`,
      'use smaller sizes, or give it more memory',
    );
  }
}

function parsed(ptx: string): PtxModule {
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

/** What a parameter is: a buffer, or the bits of a number. */
type Given = { readonly allocation: Allocation; readonly name: string } | bigint;

/** Each parameter begins at a multiple of its alignment; the address of an allocation is a pointer. */
function argumentsOf(
  parameters: readonly Variable[],
  bytes: Uint8Array,
  allocations: ReadonlyMap<bigint, Allocation>,
): readonly Given[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = 0;
  return parameters.map(({ name, bytes: size, alignment: own }): Given => {
    const start = Math.ceil(end / own) * own;
    end = start + size;
    if (size === 4) return BigInt(view.getUint32(start, true));
    if (size !== 8) throw new Error(`the parameter ${name} has ${size} bytes, and 4 or 8 are supported`);
    const bits = view.getBigUint64(start, true);
    const allocation = allocations.get(bits);
    return allocation === undefined ? bits : { allocation, name };
  });
}

function toArgument(given: Given): Argument {
  if (typeof given === 'bigint') return { kind: 'number', value: given };
  const { name, allocation } = given;
  return { kind: 'buffer', name, bytes: allocation.bytes, isWritten: allocation.isWritten };
}

/** @throws UserError for what a kernel does that it may not, or that it cannot be launched */
function running(kernel: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    const help = 'report this as a fault of the compiler; --target reference may serve meanwhile';
    if (error instanceof EmulatorFault) {
      const { place, instruction } = error;
      const at = place === undefined ? '' : `, line ${place.line} of its PTX`;
      const what = instruction === undefined ? '' : ` (${instruction})`;
      throw new UserError('kernel-fault', `kernel ${kernel}${at}: ${error.message}${what}`, help);
    }
    if (error instanceof PtxError)
      throw new UserError(
        'device-refused',
        `kernel ${kernel}, line ${error.place.line} of its PTX: ${error.message}`,
        help,
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
