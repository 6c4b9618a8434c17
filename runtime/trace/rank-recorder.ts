/** What one rank of a job does, and when. Exchanges are timed by the clock of the job. */
import { groupsAlong } from '../../compiler/partition/devices.ts';
import type { AnyManifest, ExchangeStep } from '../../compiler/plan/package.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { CommandTime } from '../webgpu/timestamps.ts';
import { commandSlice, exchangeSlice, inTurn, type Slice } from './trace.ts';

export interface Recorder {
  /** Nanoseconds by the clock of the job. */
  readonly now: () => number;
  /** Of what the device did by itself, by the clock of the job. */
  readonly times: (times: readonly CommandTime[]) => void;
  /**
   * An exchange starts, the `lane`-th of those that go on at once. What it gives is called when it is done.
   */
  readonly exchange: (step: ExchangeStep, lane: number) => () => void;
  readonly slices: () => readonly Slice[];
}

/** @param now nanoseconds by the clock of the job */
export function createRecorder(
  manifest: AnyManifest,
  mesh: Mesh,
  device: number,
  now: () => number,
): Recorder {
  const slices: Slice[] = [];
  let number = 0;
  return {
    now,
    times: (times) => slices.push(...times.map((time) => commandSlice(manifest, time))),
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
