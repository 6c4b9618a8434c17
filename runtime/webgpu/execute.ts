/** Runs a package on a WebGPU device, in Node or in a browser. */
import type { Sizes } from '../../compiler/graph/extent.ts';
import { type Command, expandSteps } from '../../compiler/plan/expand.ts';
import { checkLimits } from '../../compiler/plan/limits.ts';
import type { Package } from '../../compiler/plan/package.ts';
import { isUserError, UserError } from '../errors.ts';
import { checkForOneDevice } from '../for-one-device.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { OpenedDevice } from './device.ts';
import type { AnyTensor, DeviceTensor } from './device-tensor.ts';
import { createEncoding, type EncodedCommand, type OwnCommand } from './encode.ts';
import { keepRecent } from './kept.ts';
import { allocateMemory } from './package-memory.ts';
import { createPipelines, kernelsOf } from './pipelines.ts';
import { createRunner, type Runner } from './runner.ts';

/** Tensors by path. */
export type Tensors = ReadonlyMap<string, TensorData>;
type Given = ReadonlyMap<string, AnyTensor>;

interface Inputs {
  readonly given: Given;
  readonly sizes: Sizes | undefined;
}

/**
 * A package on a device, ready to run: nothing is compiled or allocated after loading. Inputs that are on the
 * device are read where they are, each time anew; those of the host are copied to it once. `sizes` are those
 * of a bounded package that no shape tells.
 */
export interface LoadedPackage
  extends Omit<
    Runner<Given, Map<string, TensorData>, Map<string, DeviceTensor>>,
    'run' | 'upload' | 'start'
  > {
  /** Uploads the inputs, runs, and reads the outputs back. Inputs left out stay as last uploaded. */
  readonly run: (inputs: Given, sizes?: Sizes) => Promise<Map<string, TensorData>>;
  readonly upload: (inputs: Given, sizes?: Sizes) => Promise<void>;
  /** As `Runner.start`. */
  readonly start: (inputs: Given, sizes?: Sizes) => Promise<Map<string, DeviceTensor>>;
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
  checkForOneDevice(manifest);
  checkLimits(pkg, opened.profile, device.features);
  const expansion = expandSteps(manifest);
  const commands = expansion.commands.filter(isOwn);
  const pipelines = await createPipelines(kernelsOf(pkg, commands), opened, onPipeline);
  const memory = await allocateMemory(manifest, expansion, opened, () => 0);
  const encode = (slots: readonly GPUBuffer[]) =>
    commands.map(createEncoding(device, pipelines, { ...memory, slots }, manifest));
  const own = await guard('the bindings of its kernels', () => encode(memory.slots));
  const recent = keepRecent<readonly EncodedCommand[]>(mostEncodings);
  const encoded = (inputs: Inputs | undefined) => {
    if (inputs !== undefined) memory.bind(inputs.given);
    const slots = memory.buffers();
    if (slots.every((buffer, slot) => buffer === memory.slots[slot])) return Promise.resolve(own);
    return recent(slots.map(numberOf).join(), () => guard('buffers of the caller', () => encode(slots)));
  };
  const blamed = <T>(run: Promise<T>): Promise<T> =>
    run.catch((error: unknown) => {
      const isOfCaller = memory.buffers().some((buffer) => !memory.slots.includes(buffer));
      if (!isOfCaller || !isUserError(error) || error.code !== 'device-refused') throw error;
      throw new UserError(
        'wrong-input',
        `${manifest.entry} was given a buffer that cannot be used: ${error.message}`,
        'make buffers on the device that the model runs on, and keep them for as long as it does',
      );
    });
  const runner = createRunner(opened, `a run of ${manifest.entry}`, encoded, {
    ...memory,
    write: (inputs) => memory.write(inputs?.given, inputs?.sizes),
  });
  return {
    ...runner,
    run: (given, sizes) => blamed(runner.run({ given, sizes })),
    upload: (given, sizes) => runner.upload({ given, sizes }),
    start: (given, sizes) => blamed(runner.start({ given, sizes })),
    peakBytes: memory.bytes,
    destroy: memory.destroy,
  };
}

/** Bind groups for this many sets of buffers are kept: callers have a few that take turns. */
const mostEncodings = 8;

const numbers = new WeakMap<GPUBuffer, number>();
let lastNumber = 0;

/** Different for different buffers. */
function numberOf(buffer: GPUBuffer): number {
  const number = numbers.get(buffer) ?? ++lastNumber;
  numbers.set(buffer, number);
  return number;
}

/** A package that is for no mesh has no others: its steps were checked. */
function isOwn(command: Command): command is OwnCommand {
  return command.kind !== 'exchange';
}
