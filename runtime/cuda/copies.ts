/**
 * A package on a device, one copy of its tensors after another: together they are larger than the cache, so
 * that what is timed finds nothing there that a run by itself would not.
 */
import type { PtxPackage } from '../../compiler/plan/package.ts';
import { walkSteps } from '../../compiler/plan/walk-steps.ts';
import { checkForOneDevice } from '../for-one-device.ts';
import type { LaunchDevice, OwnLaunch } from '../launch-device.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { CudaDevice } from './device.ts';
import { openCuda } from './devices.ts';
import type { DriverDevice } from './driver/open.ts';

type Tensors = ReadonlyMap<string, TensorData>;

export interface LoadedCopies {
  readonly copies: number;
  /** Of a run. */
  readonly launches: number;
  /** Gives the inputs to all copies, and runs the first: what it leaves out of its outputs is NaN. */
  readonly run: (inputs: Tensors) => Promise<ReadonlyMap<string, TensorData>>;
  /** Runs the first copy. */
  readonly perform: () => void;
  /** Runs all copies, one after the other. */
  readonly performAll: () => void;
  readonly destroy: () => void;
}

/** @throws UserError as `openCuda`; `wrong-input` when it is for a mesh */
export function loadCopies(pkg: PtxPackage, copies: number, on: CudaDevice): LoadedCopies {
  const { slots, steps, outputs } = pkg.manifest;
  checkForOneDevice(pkg.manifest);
  const places = Array.from({ length: copies }, () => () => 0);
  const { devices, destroy } = openCuda(pkg, places, on);
  const [first] = devices as [LaunchDevice];
  const launches: OwnLaunch[] = [];
  // A package for one device has no exchanges.
  const finalBuffer = walkSteps(steps, slots.length, (launch) => launches.push(launch as OwnLaunch));
  const perform = (one: LaunchDevice) => {
    for (const launch of launches) one.perform(launch);
  };
  return {
    copies,
    launches: launches.length,
    run: (inputs) => {
      for (const { slot } of outputs) poison(first, finalBuffer[slot]!, slots[slot]!.bytes);
      for (const one of devices) one.write(inputs);
      perform(first);
      return first.read(finalBuffer);
    },
    perform: () => perform(first),
    performAll: () => {
      for (const one of devices) perform(one);
    },
    destroy,
  };
}

/** NaN in all floats. */
function poison(one: LaunchDevice, buffer: number, bytes: number): void {
  const { room, done } = one.arriving(buffer, bytes);
  room.fill(0xff);
  done();
}

/** As many copies as are twice the cache. */
export function copiesPast(l2Bytes: number, bytes: number): number {
  return Math.min(mostCopies, Math.max(1, Math.ceil((2 * l2Bytes) / Math.max(1, bytes))));
}

const mostCopies = 16;

export interface Stopwatch {
  /** Seconds of one run, by the clock of the GPU: on average over so many as take about `seconds`. */
  readonly time: (seconds: number) => Promise<number>;
  /** How often a copy runs in such a time. */
  readonly runsIn: (seconds: number) => number;
  readonly destroy: () => void;
}

/** Times runs of all copies, given as one graph. */
export async function stopwatchOf(gpu: DriverDevice, loaded: LoadedCopies): Promise<Stopwatch> {
  // What a device makes the first time, such as tensor maps, cannot be recorded.
  loaded.performAll();
  await gpu.synchronize();
  const graph = gpu.capture(loaded.performAll);
  try {
    // Twice, so that the second is of a GPU that is awake.
    await gpu.time(graph.launch);
    const once = await gpu.time(graph.launch);
    const turnsIn = (seconds: number) => Math.max(1, Math.ceil(seconds / once));
    return {
      time: async (seconds) => {
        const turns = turnsIn(seconds);
        const all = await gpu.time(() => {
          for (let turn = 0; turn < turns; turn++) graph.launch();
        });
        return all / (turns * loaded.copies);
      },
      runsIn: (seconds) => turnsIn(seconds) * loaded.copies,
      destroy: graph.destroy,
    };
  } catch (error) {
    graph.destroy();
    throw error;
  }
}
