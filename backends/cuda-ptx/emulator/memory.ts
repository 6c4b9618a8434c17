/** The memory of a device: what a kernel sees, and the shadow that tells of each byte what it is. */
import { half } from './layout.ts';

export interface Memory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly halves: Uint16Array;
  readonly words: Int32Array;
  readonly floats: Float32Array;
  readonly view: DataView;
  /** Of the same places. */
  readonly shadow: Uint8Array;
  readonly shadowWords: Int32Array;
}

const pages = (2 * half) / 65_536;

/** All of it is reserved; the operating system gives pages as they are touched. */
export function createMemory(): Memory {
  return viewsOf(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }));
}

/** Of a memory that another thread made. */
export function viewsOf(memory: WebAssembly.Memory): Memory {
  const { buffer } = memory;
  return {
    memory,
    bytes: new Uint8Array(buffer, 0, half),
    halves: new Uint16Array(buffer, 0, half / 2),
    words: new Int32Array(buffer, 0, half / 4),
    floats: new Float32Array(buffer, 0, half / 4),
    view: new DataView(buffer, 0, half),
    shadow: new Uint8Array(buffer, half, half),
    shadowWords: new Int32Array(buffer, half, half / 4),
  };
}
