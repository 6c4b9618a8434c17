/** Median of repeated runs after warm-up. */

export interface Timing {
  /** Median wall-clock seconds of one run. */
  readonly seconds: number;
  /** The shortest: what a machine that does nothing else would take, where the median is disturbed. */
  readonly best: number;
  /**
   * Mean seconds of one run that the process kept cores busy, all of its threads together: a software
   * adapter's work, whoever else uses the machine.
   */
  readonly processor: number;
  readonly runs: number;
}

const warmUps = 2;
const leastRuns = 5;
const mostRuns = 200;

/** Repeats `run` for about `budget` seconds. */
export async function medianTime(run: () => Promise<unknown>, budget = 1.5): Promise<Timing> {
  for (let turn = 0; turn < warmUps; turn++) await run();
  const times: number[] = [];
  const processorBefore = processorSeconds();
  const end = performance.now() + budget * 1000;
  while (times.length < leastRuns || (performance.now() < end && times.length < mostRuns)) {
    const start = performance.now();
    await run();
    times.push((performance.now() - start) / 1000);
  }
  const runs = times.length;
  const processor = (processorSeconds() - processorBefore) / runs;
  times.sort((a, b) => a - b);
  return { seconds: times[runs >> 1] ?? 0, best: times[0] ?? 0, processor, runs };
}

function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
