/**
 * The times of a device's commands by the clock of a job. They are those that the device itself took, counted
 * back from when the host heard that the last one was done; a device without a clock runs them one by one.
 */
import type { OpenedDevice } from '../webgpu/device.ts';
import { type EncodedCommand, submitCommands } from '../webgpu/encode.ts';
import { type CommandTime, timeCommands } from '../webgpu/timestamps.ts';

/** Runs them, and waits until they are done. */
export async function timesOf(
  opened: OpenedDevice,
  commands: readonly EncodedCommand[],
  now: () => number,
): Promise<readonly CommandTime[]> {
  if (!opened.timestamps) return timeOneByOne(opened, commands, now);
  return endingNow(await timeCommands(opened, commands), now());
}

function endingNow(times: readonly CommandTime[], now: number): readonly CommandTime[] {
  const end = Math.max(
    0,
    ...times.map(({ startNanoseconds, nanoseconds }) => startNanoseconds + nanoseconds),
  );
  return times.map((time) => ({ ...time, startNanoseconds: time.startNanoseconds + now - end }));
}

async function timeOneByOne(
  { device, guard }: OpenedDevice,
  commands: readonly EncodedCommand[],
  now: () => number,
): Promise<readonly CommandTime[]> {
  const times: CommandTime[] = [];
  for (const command of commands) {
    const startNanoseconds = now();
    await guard('a timed run', () => {
      submitCommands(device, [command], undefined);
      return device.queue.onSubmittedWorkDone();
    });
    const kernel = command.kind === 'dispatch' ? command.kernel : undefined;
    times.push({ kernel, startNanoseconds, nanoseconds: now() - startNanoseconds });
  }
  return times;
}
