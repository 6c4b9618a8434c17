/**
 * By which a thread tells that it is alive, also to one whose event loop stands still: a file that it has
 * open, which Node closes when the thread ends, however it ends.
 */
import { fstatSync } from 'node:fs';

/** Words that a thread has to itself. */
export const ofThread = {
  /** Whether it may be at work. */
  inside: 0,
  /** Its file, a character device. */
  sign: 1,
  /** It has opened it after all threads that have less here. */
  order: 2,
} as const;

export type WordsOfThread = Int32Array<SharedArrayBuffer>;

export function wordsOfThread(): WordsOfThread {
  return new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
}

export function isInside(own: WordsOfThread): boolean {
  return Atomics.load(own, ofThread.inside) === 1;
}

/** @param all threads that may have been given the number of a file that it had */
export function hasEnded(own: WordsOfThread, all: readonly WordsOfThread[]): boolean {
  const sign = Atomics.load(own, ofThread.sign);
  const order = Atomics.load(own, ofThread.order);
  if (all.some((other) => Atomics.load(other, ofThread.order) > order && other[ofThread.sign] === sign))
    return true;
  try {
    return !fstatSync(sign).isCharacterDevice();
  } catch {
    return true;
  }
}
