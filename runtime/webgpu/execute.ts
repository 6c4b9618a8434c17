/** Runs a package on a WebGPU device, in Node or in a browser. */
import { type Command, expandSteps } from '../../compiler/plan/expand.ts';
import { checkLimits } from '../../compiler/plan/limits.ts';
import type { Package } from '../../compiler/plan/package.ts';
import { UserError } from '../errors.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { OpenedDevice } from './device.ts';
import { createEncoding, type OwnCommand } from './encode.ts';
import { allocateMemory } from './package-memory.ts';
import { createPipelines, kernelsOf } from './pipelines.ts';
import { createRunner, type Runner } from './runner.ts';

/** Tensors by path. */
export type Tensors = ReadonlyMap<string, TensorData>;

/** A package on a device, ready to run: nothing is compiled or allocated after loading. */
export interface LoadedPackage extends Runner<Tensors, Map<string, TensorData>> {
  /** Bytes of device memory that it holds. */
  readonly peakBytes: number;
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
  return {
    ...createRunner(opened, `a run of ${manifest.entry}`, encoded, memory),
    peakBytes: memory.bytes,
    destroy: memory.destroy,
  };
}

/** A package that is for no mesh has no others: its steps were checked. */
function isOwn(command: Command): command is OwnCommand {
  return command.kind !== 'exchange';
}
