/** Where things are in the memory of a device, and how the addresses that a kernel sees are told apart. */

/**
 * Upper halves of generic addresses. A generic address of a global byte has its place in the memory below,
 * one of any other window its offset in that window. 0 is nowhere: null, and what comes of it.
 */
export const windows = { global: 1, shared: 2, local: 3, const: 4, param: 5 } as const;
export type Window = keyof typeof windows;

/** The upper half of the address of a function, which is none of memory; those of one text lie apart. */
export const codeWindow = 6;
export const codeStep = 16;

/** Of what a thread has for calls of functions that call themselves, or by an address, and for `alloca`. */
export const stackBytes = 32 * 1024;

/** Of a cluster's blocks: shared addresses have the block's rank above this bit. */
export const rankShift = 24;

/** Lanes that take no part in an access read and write here. */
export const sink = 0;
export const sinkBytes = 256;

/** Words of the first bytes by which threads that share a grid know of each other. */
export const control = {
  /** The next cluster that nobody has, and the lowest that ended with a fault. */
  next: 32,
  fault: 33,
  /** Held while memory is changed by an atomic instruction. */
  lock: 34,
  /** The last grid, the one that threads may still begin with, and how often one was done with its part. */
  job: 35,
  open: 36,
  left: 37,
  /** How many threads have started. */
  started: 39,
  /** Moves on whenever warps meet or synchronise. */
  epoch: 38,
} as const;
export const noFault = 0x7fffffff;

/** Of the memory of a device: the shadow of address a is at a + half. Pages are there when they are used. */
export const half = 2 ** 31;

/**
 * For each byte of memory there is one in the second half that tells what it is: bit 0 that it belongs to
 * something, bit 1 that it was written, bit 2 of shared memory that a thread wrote it and that no fence has
 * made it visible to the unit that copies, bit 3 that what was written is left over from before.
 */
export const shadow = { none: 0, allocated: 1, written: 3, unfenced: 4, left: 8 } as const;

/**
 * Of the file of a warp's registers: words for all lanes, before the registers. What differs from launch to
 * launch is here, so that the code of a kernel is the same for all of them.
 */
export const header = {
  /** Where its block's shared memory is. */
  sharedBase: 0,
  /** The rank of its block, shifted as in addresses. */
  sharedWindow: 4,
  /** Of lane 0: those of the others follow. */
  localBase: 8,
  /** How often the last step was run: more than once where it is a loop by itself. */
  rounds: 12,
  /** Of the races' bookkeeping: the warp's number in its block, its clocks, and the records of words. */
  warpNumber: 16,
  clocks: 20,
  records: 24,
  warpCount: 28,
  /** An access that went wrong: 64 bits for each lane of four. */
  badAddress: 32,
  /** Where the shared memory of the cluster's first block is, from one block to the next, and how many. */
  clusterBase: 64,
  sharedStride: 68,
  clusterBlocks: 72,
  /** Of a block, with what the launch gives. */
  sharedBytes: 76,
  paramBase: 80,
  constBase: 84,
  /** Where the variables of the module in global memory begin. */
  globalBase: 88,
  /** From the records of one kind to those of the next. */
  recordRowBytes: 92,
  /** Of races in global memory: the warp's number, how many there were before the grid, and the records. */
  warpOfDevice: 96,
  warpsBefore: 100,
  globalRecords: 104,
  globalRow: 108,
  /** The epoch in which the warp last met with others. */
  metAt: 112,
  /** The number that stands for several warps of the grid. */
  manyWarps: 116,
  bytes: 128,
} as const;

export const lanesOfWarp = 32;

/** What of a kernel's memory is the same in every launch. */
export interface WindowBytes {
  readonly paramBytes: number;
  readonly constBytes: number;
  readonly localBytes: number;
}

export function alignTo(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
