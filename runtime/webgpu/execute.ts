/** Runs a package on a WebGPU device, in Node or in a browser. */
import { type Command, expandSteps } from '../../compiler/plan/expand.ts';
import { checkLimits } from '../../compiler/plan/limits.ts';
import type { Package } from '../../compiler/plan/package.ts';
import { UserError } from '../errors.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { OpenedDevice } from './device.ts';
import { createEncoding, type OwnCommand, submitCommands } from './encode.ts';
import { inTurns } from './in-turns.ts';
import { allocateMemory } from './package-memory.ts';
import { createPipelines, kernelsOf } from './pipelines.ts';
import { type DispatchTime, timeDispatches } from './timestamps.ts';

/**
 * A package on a device, ready to run: nothing is compiled or allocated after loading. Calls that overlap are
 * run one after the other. Any of them may reject with a UserError (`out-of-memory`, `device-lost`,
 * `device-refused`).
 */
export interface LoadedPackage {
  /** Bytes of device memory that it holds. */
  readonly peakBytes: number;
  /** Uploads the inputs, runs, and reads the outputs back. Inputs left out stay as last uploaded. */
  readonly run: (inputs: ReadonlyMap<string, TensorData>) => Promise<Map<string, TensorData>>;
  readonly upload: (inputs: ReadonlyMap<string, TensorData>) => Promise<void>;
  /** Runs on the inputs last uploaded; resolves when the device is done. The outputs stay on it. */
  readonly runOnDevice: () => Promise<void>;
  /** The outputs of the last run. */
  readonly read: () => Promise<Map<string, TensorData>>;
  /**
   * As `runOnDevice`, with the device's own time of each kernel in launch order. Slower: a pass a dispatch.
   */
  readonly time: () => Promise<DispatchTime[]>;
  readonly destroy: () => void;
}

/**
 * @param onPipeline hears how many kernels the driver has compiled, of how many.
 * @throws UserError `exceeds-device` before anything is allocated, when the package was compiled for a larger
 * device; `wrong-input` when it is for a mesh; `device-refused`, naming the kernel, when one does not compile.
 */
export async function loadPackage(
  pkg: Package,
  opened: OpenedDevice,
  onPipeline: (done: number, total: number) => void = () => undefined,
): Promise<LoadedPackage> {
  const { manifest } = pkg;
  const { device, guard } = opened;
  if (manifest.mesh !== undefined)
    throw new UserError(
      'wrong-input',
      `${manifest.entry} was compiled for each device of a mesh, not for a single one`,
      'run it on that mesh, or compile it without one',
    );
  checkLimits(pkg, opened.profile, device.features);
  const expansion = expandSteps(manifest);
  const commands = expansion.commands.filter(isOwn);
  const pipelines = await createPipelines(kernelsOf(pkg, commands), opened, onPipeline);
  const memory = await allocateMemory(manifest, expansion, opened, () => 0);
  const encoded = await guard('the bindings of its kernels', () =>
    commands.map(createEncoding(device, pipelines, memory, manifest.kernels)),
  );
  const what = `a run of ${manifest.entry}`;
  const inTurn = inTurns();
  return {
    peakBytes: memory.bytes,
    run: (given) =>
      inTurn(() =>
        guard(what, () => {
          memory.write(given);
          submitCommands(device, encoded, memory.copyOutputs);
          return memory.takeOutputs();
        }),
      ),
    upload: (given) =>
      inTurn(() =>
        guard(what, () => {
          memory.write(given);
          return device.queue.onSubmittedWorkDone();
        }),
      ),
    runOnDevice: () =>
      inTurn(() =>
        guard(what, () => {
          memory.write(new Map());
          submitCommands(device, encoded, undefined);
          return device.queue.onSubmittedWorkDone();
        }),
      ),
    read: () =>
      inTurn(() =>
        guard(what, () => {
          submitCommands(device, [], memory.copyOutputs);
          return memory.takeOutputs();
        }),
      ),
    time: () =>
      inTurn(() => {
        memory.write(new Map());
        return timeDispatches(opened, encoded);
      }),
    destroy: memory.destroy,
  };
}

/** A package that is for no mesh has no others: its steps were checked. */
function isOwn(command: Command): command is OwnCommand {
  return command.kind !== 'exchange';
}
