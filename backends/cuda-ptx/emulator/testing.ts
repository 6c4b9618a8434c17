/** What tests of the emulator share: texts of kernels, and arguments. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parsePtx } from '../parse.ts';
import type { PtxModule } from '../ptx.ts';
import { EmulatorFault } from './fault.ts';
import { type Argument, type Launch, launch } from './launch.ts';

/** Of a file of `kernels/`, as nvcc made it of the .cu file beside it. */
export function kernelText(name: string): string {
  return readFileSync(join(import.meta.dirname, 'kernels', `${name}.ptx`), 'utf8');
}

export function kernelModule(name: string): PtxModule {
  return parsePtx(kernelText(name));
}

/** The values are there for the kernel to read. */
export function given(name: string, values: ArrayBufferView): Argument {
  return { kind: 'buffer', name, bytes: bytesOfView(values), isWritten: true };
}

/** Nothing is there before the kernel writes it. */
export function wanted(name: string, values: ArrayBufferView): Argument {
  return { kind: 'buffer', name, bytes: bytesOfView(values), isWritten: false };
}

export function value(number: number | bigint): Argument {
  return { kind: 'number', value: number };
}

function bytesOfView({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The fault that a launch ends with. */
export function faultOf(parts: Launch): EmulatorFault {
  try {
    launch(parts);
  } catch (error) {
    if (error instanceof EmulatorFault) return error;
    throw error;
  }
  throw new Error('the launch ended without a fault');
}

/** A small generator of numbers in 0 … 1, the same in every run (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
