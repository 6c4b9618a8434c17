/** Runs a package of WebAssembly on the processor, in Node. */
import type { Sizes } from '../../compiler/graph/extent.ts';
import type { WasmPackage } from '../../compiler/plan/package.ts';
import { walkSteps } from '../../compiler/plan/walk-steps.ts';
import { checkForOneDevice } from '../for-one-device.ts';
import type { OwnLaunch } from '../launch-device.ts';
import { stopwatch, timeLaunch } from '../time-launches.ts';
import type { CommandTime } from '../webgpu/timestamps.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import { openWasm, running, type WasmDevice, type WasmOptions } from './devices.ts';

type Tensors = ReadonlyMap<string, TensorData>;

/** A package in memory, ready to run: nothing is compiled or allocated after loading. */
export interface LoadedWasm {
  /** Bytes of memory that it holds. */
  readonly peakBytes: number;
  /**
   * Inputs left out stay as last given.
   * @param sizes of a bounded package, that shapes do not tell
   * @throws UserError `wrong-input`
   */
  readonly run: (inputs: Tensors, sizes?: Sizes) => Map<string, TensorData>;
  /** Takes inputs, and runs nothing. */
  readonly write: (inputs: Tensors, sizes?: Sizes) => void;
  /**
   * Runs on the inputs last given.
   * @throws UserError `device-refused` when a kernel traps, `device-lost` when a thread ends in one
   */
  readonly compute: () => void;
  /** As `compute`, with the time of each kernel and copy in order. */
  readonly time: () => readonly CommandTime[];
  /** The outputs of the last run. */
  readonly read: () => Map<string, TensorData>;
  readonly destroy: () => void;
}

/**
 * @throws UserError `exceeds-device` when it needs what is not here; `out-of-memory`; `malformed-file` when
 * the module is none that the manifest describes; `wrong-input` when it is for a mesh
 */
export async function loadWasm(pkg: WasmPackage, options: WasmOptions = {}): Promise<LoadedWasm> {
  const { entry, slots, steps } = pkg.manifest;
  checkForOneDevice(pkg.manifest);
  const { bytes, devices, destroy } = await openWasm(pkg, [() => 0], options);
  const [device] = devices as [WasmDevice];
  let finalBuffer: readonly number[] = slots.map((_, slot) => slot);
  const launchAll = (perform: (launch: OwnLaunch) => void): void => {
    finalBuffer = running(entry, () =>
      // A package that is for no mesh has no exchanges: its steps were checked.
      walkSteps(steps, slots.length, (launch) => perform(launch as OwnLaunch)),
    );
  };
  const compute = () => launchAll(device.perform);
  const read = () => device.read(finalBuffer);
  return {
    peakBytes: bytes,
    write: device.write,
    compute,
    read,
    run: (inputs, sizes) => {
      device.write(inputs, sizes);
      compute();
      return read();
    },
    time: () => {
      const now = stopwatch();
      const times: CommandTime[] = [];
      launchAll((launch) => times.push(timeLaunch(launch, () => device.perform(launch), now)));
      return times;
    },
    destroy,
  };
}
