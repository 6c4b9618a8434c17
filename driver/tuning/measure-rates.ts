/**
 * Measures how fast a device is: each of what the cost model counts by a kernel that does little else
 * (`probes.ts`), so often that all of the device is at work. Takes about a second.
 */
import type { Rates } from '../../compiler/tiles/device-rates.ts';
import type { Progress } from '../progress.ts';
import { type Extent, type ProbeName, probeOf } from './probes.ts';
import type { Trier } from './trier.ts';

/** Milliseconds for the runs of a probe, and how many there are at least and at most. */
const budget = 40;
const [fewestRuns, mostRuns] = [3, 40];

const stage = 'measuring how fast the device is';
/** How many there are at most. */
const probes = 11;

/** Launches one after the other, of which the cost of one is found. */
const launches = 16;

/** @throws UserError when the device refuses a probe */
export async function measureRates(trier: Trier, progress: Progress): Promise<Rates> {
  const { software, subgroupSize, maxWorkgroupBytes } = trier.device;
  const threads = 64;
  const all: Extent = { groups: software ? 16 : 4096, threads, turns: 512, vectors: 4 };
  let done = 0;
  const best = async (name: ProbeName, extent: Extent, times = 1): Promise<number> => {
    progress(stage, done++, probes);
    return fastest(trier, name, extent, times);
  };
  /** What running anything takes, which is no part of what is measured. */
  const small = { ...all, groups: 16 };
  const once = await best('nothing', small);
  const beside = (seconds: number) => Math.max(seconds - once, least);
  const kernel = beside(await best('nothing', small, launches)) / (launches - 1);

  /** Of more vectors fewer wait for each other, of fewer all stay in registers. */
  const product = async (extent: Extent): Promise<number> => {
    const few = beside(await best('products', extent)) / operationsOf(extent);
    const more = { ...extent, vectors: 2 * extent.vectors };
    return Math.min(few, beside(await best('products', more)) / operationsOf(more));
  };
  const arithmetic = await product({ groups: 1, threads: 1, turns: 1 << 16, vectors: all.vectors });
  const ofAll = await product(all);
  const invocations = Math.max(1, arithmetic / ofAll);
  /** Seconds of one invocation for each vector. */
  const vectorOf = async (name: ProbeName, extent = all) =>
    (beside(await best(name, extent)) * invocations) / operationsOf(extent);

  // With the addition of what is loaded: where both go on at once, loads alone would seem to cost nothing.
  const load = await vectorOf('loads');
  const hasShared = maxWorkgroupBytes > 0;
  const shared = hasShared ? await vectorOf('shared') : load;
  const rounds: Extent = { ...all, turns: 64, vectors: 1 };
  const barrier = hasShared
    ? Math.max((await vectorOf('barriers', rounds)) - load - shared, least) / 2
    : least;
  const overLanes = { ...all, vectors: Math.max(all.vectors, subgroupSize ?? 1) };
  const broadcast =
    subgroupSize === undefined
      ? load
      : Math.max((await vectorOf('broadcasts', overLanes)) - arithmetic, least);
  const many = { ...all, groups: 64 * all.groups };
  const workgroup = (beside(await best('nothing', many)) * Math.max(1, invocations / threads)) / many.groups;
  progress(stage, probes, probes);
  return {
    ...{ invocations: rounded(invocations), arithmetic: rounded(arithmetic), load: rounded(load) },
    ...{ shared: rounded(shared), broadcast: rounded(broadcast), barrier: rounded(barrier) },
    ...{ workgroup: rounded(workgroup), kernel: rounded(kernel) },
  };
}

/** What follows is noise. */
function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

/** Less is lost in what a clock says. */
const least = 1e-12;

function operationsOf({ groups, threads, turns, vectors }: Extent): number {
  return groups * threads * turns * vectors;
}

/** Seconds of the fastest run: whatever else the machine does only makes it slower. */
async function fastest(trier: Trier, name: ProbeName, extent: Extent, times: number): Promise<number> {
  const { graph, schedule, inputs } = probeOf(name, extent, times);
  const loaded = await trier.load(graph, schedule);
  try {
    await loaded.run(inputs);
    let shortest = Number.POSITIVE_INFINITY;
    const begin = performance.now();
    for (let run = 0; run < mostRuns && (run < fewestRuns || performance.now() < begin + budget); run++) {
      const start = performance.now();
      await loaded.runAgain();
      shortest = Math.min(shortest, performance.now() - start);
    }
    return shortest / 1000;
  } finally {
    loaded.destroy();
  }
}
