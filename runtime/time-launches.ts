/** How long launches take, by the clock of the host. */
import type { Launch } from '../compiler/plan/walk-steps.ts';
import type { CommandTime } from './webgpu/timestamps.ts';

/** What is launched is done when the call returns. */
export function timeLaunch(launch: Launch, work: () => void, now: () => number): CommandTime {
  const start = now();
  work();
  return timeFrom(launch, start, now());
}

/** What is launched is done when the promise is fulfilled. */
export async function timeAwaited(
  launch: Launch,
  work: () => Promise<void>,
  now: () => number,
): Promise<CommandTime> {
  const start = now();
  await work();
  return timeFrom(launch, start, now());
}

function timeFrom(launch: Launch, startNanoseconds: number, end: number): CommandTime {
  const kernel = launch.kind === 'dispatch' ? launch.kernel : undefined;
  return { kernel, startNanoseconds, nanoseconds: end - startNanoseconds };
}

/** Nanoseconds since it was made. */
export function stopwatch(): () => number {
  const start = performance.now();
  return () => (performance.now() - start) * 1e6;
}
