/** The functions of a module on all cores: the caller's thread, and others that sleep in between. */
import { Worker } from 'node:worker_threads';
import {
  hasEnded,
  isInside,
  type WordsOfThread,
  wordsOfThread,
} from '../../backends/cuda-ptx/emulator/sign-of-life.ts';
import { UserError } from '../errors.ts';
import { control, controlBytes, mostArguments } from './control.ts';
import { threadText } from './thread-text.ts';

export interface Threads {
  /**
   * Runs workgroups 0 … groups − 1 of a kernel; everything that it does is done when it returns.
   * @throws Error when the kernel traps, in whichever thread; UserError `device-lost` when a thread ends
   * before it is done with it, the others being done: another takes its place
   */
  readonly run: (kernel: number, groups: number, given: readonly number[]) => void;
  readonly destroy: () => void;
}

/** Pieces that a kernel is taken in by each thread: more even out what is uneven, and cost more. */
const piecesPerThread = 32;

/**
 * @param kernels the names of functions `(first, end, …)` of workgroups
 * @param scratch where in memory there is what each thread has to itself, first the caller's
 * @param text what the others run
 */
export function startThreads(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  kernels: readonly string[],
  [own = 0, ...scratch]: readonly number[],
  text = threadText,
): Threads {
  const others = scratch.length;
  const { exports } = new WebAssembly.Instance(module, { runtime: { memory, scratch: own } });
  const functions = kernels.map((name) => exports[name] as (...given: number[]) => void);
  const words = new Int32Array(new SharedArrayBuffer(controlBytes()));
  const start = (number: number) =>
    startThread({ module, memory, words, kernels, scratch: scratch[number]! }, text);
  const threads = Array.from(scratch.keys(), start);

  const share = (kernel: number, groups: number, given: readonly number[]): void => {
    const grain = Math.max(1, Math.floor(groups / ((others + 1) * piecesPerThread)));
    words.set(given, control.arguments);
    words[control.argumentCount] = given.length;
    words[control.kernel] = kernel;
    words[control.end] = groups;
    words[control.grain] = grain;
    Atomics.store(words, control.failed, 0);
    Atomics.store(words, control.next, 0);
    Atomics.store(words, control.open, 1);
    Atomics.add(words, control.turn, 1);
    Atomics.notify(words, control.turn);
    const run = functions[kernel]!;
    let ended: readonly Thread[];
    try {
      for (;;) {
        const first = Atomics.add(words, control.next, grain);
        if (first >= groups) break;
        run(first, Math.min(first + grain, groups), ...given);
      }
    } finally {
      ended = close(words, threads);
    }
    for (const thread of ended) {
      const number = threads.indexOf(thread);
      threads[number] = start(number);
    }
    if (ended.length > 0)
      throw new UserError(
        'device-lost',
        `a thread ended while it ran ${kernels[kernel]}`,
        'run again; if it happens again with the same program, use smaller sizes or --target reference',
      );
    if (Atomics.load(words, control.failed) === 1) throw new Error(`${kernels[kernel]} trapped in a thread`);
  };

  return {
    run: (kernel, groups, given) => {
      if (others === 0 || groups === 1 || given.length > mostArguments)
        functions[kernel]!(0, groups, ...given);
      else share(kernel, groups, given);
    },
    destroy: () => {
      for (const { worker } of threads) void worker.terminate();
    },
  };
}

interface Thread {
  readonly worker: Worker;
  readonly own: WordsOfThread;
}

interface ThreadData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly kernels: readonly string[];
  readonly scratch: number;
}

/** It keeps no process alive. A thread that cannot start takes no part. */
function startThread(data: ThreadData, text: string): Thread {
  const own = wordsOfThread();
  const worker = new Worker(text, { eval: true, workerData: { ...data, own } });
  worker.on('error', () => undefined);
  worker.unref();
  return { worker, own };
}

/** Milliseconds to wait for threads before it is looked whether they are still there. */
const patience = 100;

/**
 * Nobody comes in any more; returns when everyone is out, but for those that have ended inside.
 * @returns these
 */
function close(words: Int32Array<SharedArrayBuffer>, threads: readonly Thread[]): readonly Thread[] {
  const all = threads.map(({ own }) => own);
  Atomics.store(words, control.open, 0);
  for (;;) {
    const left = Atomics.load(words, control.left);
    let isFull = all.some(isInside);
    for (let look = 0; isFull && look < 1000; look++) isFull = all.some(isInside);
    if (!isFull) return [];
    if (Atomics.wait(words, control.left, left, patience) !== 'timed-out') continue;
    const inside = threads.filter(({ own }) => isInside(own));
    if (inside.every(({ own }) => hasEnded(own, all))) return inside;
  }
}
