/** How long launches take on the processor, by the clock of the host. */
import type { Launch } from '../../compiler/plan/walk-steps.ts';
import type { CommandTime } from '../webgpu/timestamps.ts';

/** What is launched is done when the call returns. */
export function timeLaunch(launch: Launch, work: () => void, now: () => number): CommandTime {
  const startNanoseconds = now();
  work();
  const kernel = launch.kind === 'dispatch' ? launch.kernel : undefined;
  return { kernel, startNanoseconds, nanoseconds: now() - startNanoseconds };
}

/** Nanoseconds since it was made. */
export function stopwatch(): () => number {
  const start = performance.now();
  return () => (performance.now() - start) * 1e6;
}
