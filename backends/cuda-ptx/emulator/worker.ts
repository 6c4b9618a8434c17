/** A thread that runs clusters of grids (`threads.ts` has who starts it). */
import { openSync } from 'node:fs';
import { devNull } from 'node:os';
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { PtxError } from '../ptx-error.ts';
import { EmulatorFault } from './fault.ts';
import { hasFusedMultiplyAdd } from './fused.ts';
import { GridRunner } from './grid.ts';
import { regionAt } from './grid-plan.ts';
import type { Kernel } from './kernel.ts';
import { control } from './layout.ts';
import { Linker } from './link.ts';
import { viewsOf } from './memory.ts';
import { runShare } from './share-clusters.ts';
import { ofThread } from './sign-of-life.ts';
import type { Job, JobEnd, ThreadData, ThreadFault } from './threads.ts';

const { memory, port, own } = workerData as ThreadData;
const views = viewsOf(memory);
const { words } = views;
// Code may have been made with what is behind a flag here.
hasFusedMultiplyAdd();
const linker = new Linker(views);
const kernels = new Map<number, Kernel>();

/** The last job that there is; kernels that came with others are kept. */
function nextJob(): Job | undefined {
  let last: Job | undefined;
  for (let found = receiveMessageOnPort(port); found !== undefined; found = receiveMessageOnPort(port)) {
    last = found.message as Job;
    if (last.forgetsKernels) kernels.clear();
    if (last.kernel !== undefined) kernels.set(last.kernelNumber, last.kernel);
  }
  return last;
}

function run(job: Job): JobEnd {
  const kernel = kernels.get(job.kernelNumber)!;
  const plan = { ...job.plan, kernel };
  const runner = new GridRunner(plan, linker, regionAt(plan, job.region));
  const { instructions, fault, printed } = runShare(runner, words);
  const told = fault && faultOf(fault.number, fault.error);
  return { number: job.number, instructions, fault: told, printed };
}

function faultOf(cluster: number, error: unknown): ThreadFault {
  if (error instanceof EmulatorFault)
    return {
      ...{ cluster, kind: 'fault', faultKind: error.kind, message: error.message },
      instruction: error.by,
    };
  if (error instanceof PtxError) return { cluster, kind: 'ptx', message: error.message, place: error.place };
  return { cluster, kind: 'other', message: error instanceof Error ? String(error.stack) : String(error) };
}

/** What goes wrong beside the clusters comes before them. */
function takePart(number: number): JobEnd | undefined {
  try {
    const job = nextJob();
    return job?.number === number ? run(job) : undefined;
  } catch (error) {
    return { number, instructions: 0, fault: faultOf(-1, error), printed: [] };
  }
}

own[ofThread.sign] = openSync(devNull, 'r');
own[ofThread.order] = Atomics.add(words, control.started, 1) + 1;
for (let seen = 0; ; ) {
  Atomics.wait(words, control.job, seen);
  seen = Atomics.load(words, control.job);
  // Whoever is inside is waited for; so it is looked again whether the grid is still open.
  Atomics.store(own, ofThread.inside, 1);
  if (Atomics.load(words, control.open) === seen) {
    const end = takePart(seen);
    if (end !== undefined) port.postMessage(end);
  }
  Atomics.store(own, ofThread.inside, 0);
  Atomics.add(words, control.left, 1);
  Atomics.notify(words, control.left);
}
