/**
 * Threads beside the one that launches, over the same memory. They wait for grids to run clusters of; who
 * launches waits for them, without its event loop.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { Instruction, Place } from '../ptx.ts';
import { PtxError } from '../ptx-error.ts';
import { EmulatorFault, type FaultKind } from './fault.ts';
import type { GridPlan } from './grid-plan.ts';
import type { Kernel } from './kernel.ts';
import { control } from './layout.ts';
import type { Printed } from './machine.ts';
import type { Memory } from './memory.ts';
import { abandonGrid, type Share } from './share-clusters.ts';
import { hasEnded, isInside, ofThread, type WordsOfThread, wordsOfThread } from './sign-of-life.ts';

/** What a thread begins with. */
export interface ThreadData {
  readonly memory: WebAssembly.Memory;
  readonly port: MessagePort;
  readonly own: WordsOfThread;
}

/** A grid, for one thread. */
export interface Job {
  readonly number: number;
  readonly plan: Omit<GridPlan, 'kernel'>;
  /** By which the thread knows the kernel afterwards. */
  readonly kernelNumber: number;
  readonly kernel: Kernel | undefined;
  /** Whether kernels of before are not asked for again. */
  readonly forgetsKernels: boolean;
  /** Where the thread has its region. */
  readonly region: number;
}

/** How a thread's part of a grid ended. */
export interface JobEnd {
  readonly number: number;
  readonly instructions: number;
  readonly fault: ThreadFault | undefined;
  readonly printed: readonly Printed[];
}

/** Errors in a form that is the same on the other side. */
export type ThreadFault = { readonly cluster: number } & (
  | {
      readonly kind: 'fault';
      readonly faultKind: FaultKind;
      readonly message: string;
      readonly instruction: Instruction | undefined;
    }
  | { readonly kind: 'ptx'; readonly message: string; readonly place: Place }
  | { readonly kind: 'other'; readonly message: string }
);

const mostThreads = 16;
const mostKernels = 64;

/** A thread ended at a grid, of which some clusters are not done. */
export class LostThread extends Error {
  override readonly name = 'LostThread';

  constructor() {
    super('a thread of the emulator ended while it ran a kernel');
  }
}

interface Thread {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly own: WordsOfThread;
}

/** Milliseconds to wait for threads before it is looked whether they are still there. */
const patience = 100;

/** The file of a thread: there is one where the program was built. */
const workerFile = new URL('./worker.js', import.meta.url);
export const canStartThreads = import.meta.url.endsWith('.js');

export class Threads {
  private readonly memory: Memory;
  private readonly threads: Thread[] = [];
  private kernels = new Map<Kernel, number>();
  private lastKernel = 0;
  private lastJob = 0;

  constructor(memory: Memory, count: number) {
    this.memory = memory;
    for (let at = 0; at < Math.min(count, mostThreads); at++) this.threads.push(startThread(memory.memory));
  }

  get count(): number {
    return this.threads.length;
  }

  /** They take part in a grid from now on. @param regions of each. */
  begin(plan: GridPlan, regions: readonly number[]): void {
    const { kernel, ...rest } = plan;
    const forgetsKernels = this.kernels.size >= mostKernels;
    if (forgetsKernels) this.kernels = new Map();
    const known = this.kernels.get(kernel);
    const kernelNumber = known ?? ++this.lastKernel;
    this.kernels.set(kernel, kernelNumber);
    const number = ++this.lastJob;
    this.threads.forEach(({ port }, at) => {
      const job: Job = {
        ...{ number, plan: rest, kernelNumber, forgetsKernels, region: regions[at]! },
        kernel: known === undefined ? kernel : undefined,
      };
      port.postMessage(job);
    });
    const { words } = this.memory;
    Atomics.store(words, control.open, number);
    Atomics.store(words, control.job, number);
    Atomics.notify(words, control.job);
  }

  /**
   * Nobody begins with it any more; returns when all that did are done.
   * @throws LostThread where one is no more, the others being done
   */
  end(): readonly Share[] {
    const { words } = this.memory;
    const all = this.threads.map(({ own }) => own);
    Atomics.store(words, control.open, 0);
    let isLost = false;
    for (;;) {
      const left = Atomics.load(words, control.left);
      const inside = all.filter(isInside);
      if (inside.length === 0) break;
      if (Atomics.wait(words, control.left, left, patience) !== 'timed-out') continue;
      for (const own of inside.filter((each) => hasEnded(each, all))) {
        isLost = true;
        Atomics.store(own, ofThread.inside, 0);
        // It may have been at an atomic instruction.
        Atomics.store(words, control.lock, 0);
        abandonGrid(words);
      }
    }
    if (isLost) throw new LostThread();
    return this.threads.flatMap(({ port }) => {
      const ends: JobEnd[] = [];
      for (let found = receiveMessageOnPort(port); found !== undefined; found = receiveMessageOnPort(port))
        ends.push(found.message as JobEnd);
      return ends
        .filter(({ number }) => number === this.lastJob)
        .map(({ instructions, fault, printed }) => ({
          ...{ instructions, printed },
          fault: fault && { number: fault.cluster, error: errorOf(fault) },
        }));
    });
  }

  stop(): void {
    for (const { worker } of this.threads) void worker.terminate();
  }
}

/** It keeps no process alive. */
function startThread(memory: WebAssembly.Memory): Thread {
  const { port1, port2 } = new MessageChannel();
  const own = wordsOfThread();
  const workerData: ThreadData = { memory, port: port2, own };
  const worker = new Worker(workerFile, { workerData, transferList: [port2] });
  worker.on('error', () => undefined);
  worker.unref();
  port1.unref();
  return { worker, port: port1, own };
}

function errorOf(fault: ThreadFault): Error {
  switch (fault.kind) {
    case 'fault':
      return new EmulatorFault(fault.faultKind, fault.message, fault.instruction);
    case 'ptx':
      return new PtxError(fault.message, fault.place);
    case 'other':
      return new Error(fault.message);
  }
}
