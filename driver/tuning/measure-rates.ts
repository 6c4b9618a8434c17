/**
 * Measures how fast a device is: each of what the cost model counts by a kernel that does little else
 * (`probes.ts`), so often that all of the device is at work. Takes about a second.
 */
import type { Rates } from '../../compiler/tiles/device-rates.ts';
import type { Progress } from '../progress.ts';
import { type Extent, type Probe, type ProbeName, probeOf } from './probes.ts';
import type { Trier } from './trier.ts';

/** Milliseconds for the runs of a probe, and how many there are at least and at most. */
const budget = 40;
const [fewestRuns, mostRuns] = [3, 40];

const stage = 'measuring how fast the device is';
/** How many there are at most. */
const probes = 11;

/** Launches one after the other, of which the cost of one is found. */
const launches = 16;

/**
 * Undefined where what else the machine does hides how long a probe takes.
 * @param now milliseconds, from any start
 * @throws UserError when the device refuses a probe
 */
export async function measureRates(
  trier: Trier,
  progress: Progress,
  now: () => number = () => performance.now(),
): Promise<Rates | undefined> {
  const { core, software, subgroupSize, maxWorkgroupBytes } = trier.device;
  const threads = 64;
  const all: Extent = { groups: software ? 16 : 4096, threads, turns: 512, vectors: 4 };
  let done = 0;
  let isHidden = false;
  const best = async (name: ProbeName, extent: Extent, times = 1): Promise<number> => {
    progress(stage, done++, probes);
    return fastest(trier, probeOf(name, extent, times), now);
  };
  /** What running anything takes, which is no part of what is measured; of a core, with all threads. */
  const small = { ...all, groups: core === undefined ? 1 : 16 };
  const once = await best('nothing', small);
  const beside = (seconds: number) => {
    if (seconds - once < leastPart * once) isHidden = true;
    return seconds - once;
  };
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
  const barriers = hasShared ? (await vectorOf('barriers', rounds)) - load - shared : 0;
  const overLanes = { ...all, vectors: Math.max(all.vectors, subgroupSize ?? 1) };
  const products = subgroupSize === undefined ? 0 : await vectorOf('broadcasts', overLanes);
  const many = { ...all, groups: 64 * all.groups };
  const workgroup = (beside(await best('nothing', many)) * Math.max(1, invocations / threads)) / many.groups;
  progress(stage, probes, probes);
  if (isHidden) return undefined;
  return {
    ...{ invocations: rounded(invocations), arithmetic: rounded(arithmetic), load: rounded(load) },
    shared: rounded(shared),
    // What takes no longer than arithmetic does is next to nothing.
    broadcast: rounded(Math.max(products - arithmetic, arithmetic / 8)),
    barrier: rounded(Math.max(barriers / 2, arithmetic / 8)),
    ...{ workgroup: rounded(workgroup), kernel: rounded(kernel) },
  };
}

/** A probe takes so much longer than running nothing, or it is not seen. */
const leastPart = 0.05;

/** What follows is noise. */
function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function operationsOf({ groups, threads, turns, vectors }: Extent): number {
  return groups * threads * turns * vectors;
}

/** Seconds of the fastest run: whatever else the machine does only makes it slower. */
async function fastest(trier: Trier, { graph, schedule, inputs }: Probe, now: () => number): Promise<number> {
  const loaded = await trier.load(graph, schedule);
  try {
    await loaded.run(inputs);
    let shortest = Number.POSITIVE_INFINITY;
    const begin = now();
    for (let run = 0; run < mostRuns && (run < fewestRuns || now() < begin + budget); run++) {
      const start = now();
      await loaded.runAgain();
      shortest = Math.min(shortest, now() - start);
    }
    return shortest / 1000;
  } finally {
    loaded.destroy();
  }
}
