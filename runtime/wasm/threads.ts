/** The functions of a module on all cores: the caller's thread, and others that sleep in between. */
import { Worker } from 'node:worker_threads';
import { control, controlBytes, mostArguments } from './control.ts';
import { threadText } from './thread-text.ts';

export interface Threads {
  /**
   * Runs workgroups 0 … groups − 1 of a kernel; everything that it does is done when it returns.
   * @throws Error when the kernel traps, in whichever thread
   */
  readonly run: (kernel: number, groups: number, given: readonly number[]) => void;
  readonly destroy: () => void;
}

/** Pieces that a kernel is taken in by each thread: more even out what is uneven, and cost more. */
const piecesPerThread = 8;

/**
 * @param kernels the names of functions `(first, end, …)` of workgroups
 * @param others threads beside the caller's
 */
export function startThreads(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  kernels: readonly string[],
  others: number,
): Threads {
  const { exports } = new WebAssembly.Instance(module, { runtime: { memory } });
  const functions = kernels.map((name) => exports[name] as (...given: number[]) => void);
  const words = new Int32Array(new SharedArrayBuffer(controlBytes()));
  const workers = Array.from({ length: others }, () => startWorker({ module, memory, words, kernels }));

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
    try {
      for (;;) {
        const first = Atomics.add(words, control.next, grain);
        if (first >= groups) break;
        run(first, Math.min(first + grain, groups), ...given);
      }
    } finally {
      close(words);
    }
    if (Atomics.load(words, control.failed) === 1) throw new Error(`${kernels[kernel]} trapped in a thread`);
  };

  return {
    run: (kernel, groups, given) => {
      if (others === 0 || groups === 1 || given.length > mostArguments)
        functions[kernel]!(0, groups, ...given);
      else share(kernel, groups, given);
    },
    destroy: () => {
      for (const worker of workers) void worker.terminate();
    },
  };
}

/** Nobody comes in any more; returns when everyone is out. */
function close(words: Int32Array<SharedArrayBuffer>): void {
  Atomics.store(words, control.open, 0);
  for (;;) {
    let inside = Atomics.load(words, control.inside);
    for (let look = 0; inside > 0 && look < 1000; look++) inside = Atomics.load(words, control.inside);
    if (inside === 0) return;
    Atomics.wait(words, control.inside, inside, 1);
  }
}

/** It keeps no process alive. A thread that cannot start takes no part. */
function startWorker(workerData: {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly kernels: readonly string[];
}): Worker {
  const worker = new Worker(threadText, { eval: true, workerData });
  worker.on('error', () => undefined);
  worker.unref();
  return worker;
}
