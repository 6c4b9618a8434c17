/** Runs a package of PTX on a device. */
import type { Sizes } from '../../compiler/graph/extent.ts';
import type { PtxPackage } from '../../compiler/plan/package.ts';
import { walkSteps } from '../../compiler/plan/walk-steps.ts';
import { checkForOneDevice } from '../for-one-device.ts';
import type { LaunchDevice, OwnLaunch } from '../launch-device.ts';
import { stopwatch, timeAwaited } from '../time-launches.ts';
import { inTurns } from '../webgpu/in-turns.ts';
import type { CommandTime } from '../webgpu/timestamps.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { CudaDevice, Recording } from './device.ts';
import { openCuda } from './devices.ts';

type Tensors = ReadonlyMap<string, TensorData>;

/** A package on the device, ready to run: nothing is compiled or allocated after loading. */
export interface LoadedCuda {
  /** Bytes of memory that it holds. */
  readonly peakBytes: number;
  /**
   * Inputs left out stay as last given.
   * @param sizes of a bounded package, that shapes do not tell
   * @throws UserError `wrong-input`, `kernel-fault`, `device-lost`
   */
  readonly run: (inputs: Tensors, sizes?: Sizes) => Promise<Map<string, TensorData>>;
  /** Once more, on the inputs last given: what that gives is left where it is. */
  readonly runAgain: () => Promise<void>;
  /** As `runAgain`, with the time of each kernel and copy in order, by the clock of the host: one by one. */
  readonly time: () => Promise<readonly CommandTime[]>;
  readonly destroy: () => void;
}

/**
 * @param progress hears how many kernels are compiled, of how many
 * @throws UserError as `openCuda`; `wrong-input` when it is for a mesh
 */
export function loadCuda(
  pkg: PtxPackage,
  on: CudaDevice,
  progress?: (done: number, total: number) => void,
): LoadedCuda {
  const { slots, steps } = pkg.manifest;
  checkForOneDevice(pkg.manifest);
  const { bytes, devices, destroy } = openCuda(pkg, [() => 0], on, progress);
  const [device] = devices as [LaunchDevice];
  const launches: OwnLaunch[] = [];
  // A package that is for no mesh has no exchanges: its steps were checked.
  const finalBuffer = walkSteps(steps, slots.length, (launch) => launches.push(launch as OwnLaunch));
  const performEach = () => {
    for (const launch of launches) device.perform(launch);
  };
  /** A bounded program launches as many blocks as its sizes ask for: each time others. */
  const isAlways = pkg.manifest.bounded === undefined;
  let recording: Recording | undefined;
  /** The second time and later as one, where the device can. */
  let isFirst = true;
  const performAll = () => {
    if (!isFirst && isAlways) recording ??= on.capture?.(performEach);
    isFirst = false;
    device.begin?.();
    if (recording === undefined) performEach();
    else recording.launch();
  };
  const inTurn = inTurns();
  return {
    peakBytes: bytes,
    run: (inputs, sizes) =>
      inTurn(async () => {
        device.write(inputs, sizes);
        performAll();
        return device.read(finalBuffer);
      }),
    runAgain: () =>
      inTurn(async () => {
        performAll();
        await device.finish();
      }),
    time: () =>
      inTurn(async () => {
        await device.finish();
        const now = stopwatch();
        const times: CommandTime[] = [];
        device.begin?.();
        for (const launch of launches) {
          const done = async () => {
            device.perform(launch);
            await device.finish();
          };
          times.push(await timeAwaited(launch, done, now));
        }
        return times;
      }),
    destroy: () => {
      recording?.destroy();
      destroy();
    },
  };
}
