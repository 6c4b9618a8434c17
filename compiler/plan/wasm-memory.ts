/** Where slots lie in the memory of a WebAssembly module. */
import { UserError } from '../../dsl/diagnostics/user-error.ts';
import { wasmDevice } from '../tiles/device-profile.ts';
import { bytesText } from './storage-bytes.ts';

/** Bytes before the first slot and behind the last, which kernels may read and do not use. */
export const slackBytes = 2 ** 20;

const pageBytes = 2 ** 16;
/** Of a cache line, which two threads had better not write. */
const alignment = 64;

/** As many bytes, and those to the end of a cache line. */
export function onLines(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

export interface WasmMemory {
  /** The first byte of each slot. */
  readonly pointers: readonly number[];
  /** The first byte of what each thread has to itself. */
  readonly scratch: readonly number[];
  readonly pages: number;
  readonly bytes: number;
}

/**
 * @param slots of all devices
 * @param scratchBytes that each of so many threads has to itself
 */
export function wasmMemory(
  slots: readonly { readonly bytes: number }[],
  scratchBytes: number,
  threads: number,
): WasmMemory {
  let next = slackBytes;
  const place = (bytes: number): number => {
    const first = next;
    next += onLines(bytes);
    return first;
  };
  const pointers = slots.map(({ bytes }) => place(bytes));
  const scratch = Array.from({ length: threads }, () => place(scratchBytes));
  const pages = Math.ceil((next + slackBytes) / pageBytes);
  return { pointers, scratch, pages, bytes: pages * pageBytes };
}

/** @throws UserError `exceeds-device` when a module cannot have as much. */
export function checkWasmMemory(what: string, bytes: number): void {
  const { name, maxBufferBytes } = wasmDevice;
  if (bytes > maxBufferBytes)
    throw new UserError(
      'exceeds-device',
      `${what} takes ${bytesText(bytes)} of memory, and ${name} has ${bytesText(maxBufferBytes)}`,
      'use smaller sizes or narrower element types',
    );
}
