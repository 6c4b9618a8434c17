/** Median of repeated runs after warm-up. */

export interface Timing {
  /** Median wall-clock seconds of one run. */
  readonly seconds: number;
  /** The shortest: what a machine that does nothing else would take, where the median is disturbed. */
  readonly best: number;
  readonly runs: number;
}

const warmUps = 2;
const leastRuns = 5;
const mostRuns = 200;

/** Repeats `run` for about `budget` seconds. */
export async function medianTime(run: () => Promise<unknown>, budget = 1.5): Promise<Timing> {
  for (let turn = 0; turn < warmUps; turn++) await run();
  const times: number[] = [];
  const end = performance.now() + budget * 1000;
  while (times.length < leastRuns || (performance.now() < end && times.length < mostRuns)) {
    const start = performance.now();
    await run();
    times.push((performance.now() - start) / 1000);
  }
  times.sort((a, b) => a - b);
  return { seconds: times[times.length >> 1] ?? 0, best: times[0] ?? 0, runs: times.length };
}
