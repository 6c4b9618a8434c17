/**
 * What one rank of a job does, and when. Exchanges are timed by the clock of the host. So is what the device
 * computes between two of them, but in it kernels have the times that the device itself took for them,
 * counted back from when the host heard that the last one was done. A device without a clock runs them one by
 * one.
 */
import { groupsAlong } from '../../compiler/partition/devices.ts';
import type { ExchangeStep, Manifest } from '../../compiler/plan/package.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { OpenedDevice } from '../webgpu/device.ts';
import { type EncodedCommand, submitCommands } from '../webgpu/encode.ts';
import { type CommandTime, timeCommands } from '../webgpu/timestamps.ts';
import { commandSlice, exchangeSlice, inTurn, type Slice } from './trace.ts';

export interface Recorder {
  /** Runs them, and waits until they are done. */
  readonly commands: (commands: readonly EncodedCommand[]) => Promise<void>;
  /**
   * An exchange starts, the `lane`-th of those that go on at once. What it gives is called when it is done.
   */
  readonly exchange: (step: ExchangeStep, lane: number) => () => void;
  readonly slices: () => readonly Slice[];
}

/** @param now nanoseconds by the clock of the job */
export function createRecorder(
  manifest: Manifest,
  opened: OpenedDevice,
  mesh: Mesh,
  device: number,
  now: () => number,
): Recorder {
  const slices: Slice[] = [];
  let number = 0;
  return {
    commands: async (commands) => {
      const times = opened.timestamps
        ? endingNow(await timeCommands(opened, commands), now())
        : await timeOneByOne(opened, commands, now);
      slices.push(...times.map((time) => commandSlice(manifest, time)));
    },
    exchange: (step, lane) => {
      const own = number++;
      const group = groupsAlong(step.axes, mesh).find((devices) => devices.includes(device))!;
      const startNanoseconds = now();
      return () => {
        const when = { startNanoseconds, nanoseconds: now() - startNanoseconds };
        slices.push(exchangeSlice(step, group, device, { number: own, lane, when }));
      };
    },
    slices: () => inTurn(slices.toSorted((left, right) => left.startNanoseconds - right.startNanoseconds)),
  };
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
