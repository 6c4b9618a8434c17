/** Runs a package on a WebGPU device, in Node or in a browser. */
import { expandSteps, uniformStride } from '../../compiler/plan/expand.ts';
import { checkLimits } from '../../compiler/plan/limits.ts';
import type { Package, PackageInput } from '../../compiler/plan/package.ts';
import { bufferBytes, bytesText, packedBytes, typeText } from '../../compiler/plan/storage-bytes.ts';
import { UserError } from '../errors.ts';
import { checkIndices, checkTensorBytes, type TensorData } from '../weights/tensor-data.ts';
import type { OpenedDevice } from './device.ts';
import { encodeCommands, recordCommands } from './encode.ts';
import { createPipelines } from './pipelines.ts';
import { type DispatchTime, timeDispatches } from './timestamps.ts';
import { bufferUsage, mapForReading } from './usage.ts';

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

/** More than this many commands are submitted in pieces: drivers end work that lasts for seconds. */
const commandsPerSubmit = 1024;

/**
 * @param onPipeline hears how many kernels the driver has compiled, of how many.
 * @throws UserError `exceeds-device` before anything is allocated, when the package was compiled for a larger
 * device; `device-refused`, naming the kernel, when one does not compile.
 */
export async function loadPackage(
  pkg: Package,
  opened: OpenedDevice,
  onPipeline: (done: number, total: number) => void = () => undefined,
): Promise<LoadedPackage> {
  const { manifest } = pkg;
  const { device, guard } = opened;
  checkLimits(pkg, opened.profile, device.features);
  const { commands, uniforms, finalBuffer } = expandSteps(manifest.steps, manifest.slots.length);
  const pipelines = await createPipelines(pkg, commands, opened, onPipeline);

  let peakBytes = 0;
  const allocated: GPUBuffer[] = [];
  const allocate = (label: string, size: number, usage: number): GPUBuffer => {
    peakBytes += size;
    const buffer = device.createBuffer({ label, size, usage });
    allocated.push(buffer);
    return buffer;
  };
  const destroyAll = () => {
    for (const buffer of allocated) buffer.destroy();
  };

  const { slots, uniformBuffer, readback } = await guard(
    `${bytesText(manifest.peakBytes)} of tensors`,
    () => {
      const { storage, copySource, copyDestination, uniform, mapRead } = bufferUsage;
      const readBytes = manifest.outputs.reduce((sum, output) => sum + bufferBytes(output), 0);
      return {
        slots: manifest.slots.map((slot, index) =>
          allocate(`slot ${index}`, slot.bytes, storage | copySource | copyDestination),
        ),
        uniformBuffer:
          uniforms.length === 0
            ? undefined
            : allocate('uniforms', uniforms.length * uniformStride, uniform | copyDestination),
        readback: readBytes === 0 ? undefined : allocate('read back', readBytes, mapRead | copyDestination),
      };
    },
  ).catch((error: unknown) => {
    destroyAll();
    throw error;
  });
  if (uniformBuffer !== undefined) writeUniforms(device, uniformBuffer, uniforms);

  const encoded = await guard('the bindings of its kernels', () =>
    encodeCommands(device, commands, pipelines, slots, uniformBuffer, manifest.kernels),
  );
  const outputs = manifest.outputs.map((output) => ({
    ...output,
    buffer: slots[finalBuffer[output.slot]!]!,
  }));
  const inputs = new Map(manifest.inputs.map((input) => [input.path, input]));
  const missing = new Set(inputs.keys());

  const write = (given: ReadonlyMap<string, TensorData>): void => {
    for (const [path, tensor] of given) checkInput(path, tensor, inputs.get(path));
    for (const [path, tensor] of given) {
      writeTensor(device, slots[inputs.get(path)!.slot]!, tensor);
      missing.delete(path);
    }
    const [first] = missing;
    if (first !== undefined)
      throw new UserError(
        'wrong-input',
        `the input ${first} of ${manifest.entry} is missing`,
        `give ${[...missing].join(', ')}`,
      );
  };

  const submit = (last: ((encoder: GPUCommandEncoder) => void) | undefined): void => {
    for (let begin = 0; begin === 0 || begin < encoded.length; begin += commandsPerSubmit) {
      const encoder = device.createCommandEncoder();
      const end = begin + commandsPerSubmit;
      recordCommands(encoder, encoded.slice(begin, end));
      if (end >= encoded.length) last?.(encoder);
      device.queue.submit([encoder.finish()]);
    }
  };

  const copyOutputs = (encoder: GPUCommandEncoder): void => {
    let offset = 0;
    for (const output of outputs) {
      encoder.copyBufferToBuffer(output.buffer, 0, readback!, offset, bufferBytes(output));
      offset += bufferBytes(output);
    }
  };

  const takeOutputs = async (): Promise<Map<string, TensorData>> => {
    const results = new Map<string, TensorData>();
    if (readback === undefined) return results;
    await readback.mapAsync(mapForReading);
    const mapped = new Uint8Array(readback.getMappedRange());
    let offset = 0;
    for (const output of outputs) {
      const { path, dtype, shape } = output;
      results.set(path, { dtype, shape, bytes: mapped.slice(offset, offset + packedBytes(output)) });
      offset += bufferBytes(output);
    }
    readback.unmap();
    return results;
  };

  const what = `a run of ${manifest.entry}`;
  const inTurn = queue();
  return {
    peakBytes,
    run: (given) =>
      inTurn(() =>
        guard(what, () => {
          write(given);
          submit(copyOutputs);
          return takeOutputs();
        }),
      ),
    upload: (given) =>
      inTurn(() =>
        guard(what, () => {
          write(given);
          return device.queue.onSubmittedWorkDone();
        }),
      ),
    runOnDevice: () =>
      inTurn(() =>
        guard(what, () => {
          write(new Map());
          submit(undefined);
          return device.queue.onSubmittedWorkDone();
        }),
      ),
    read: () =>
      inTurn(() =>
        guard(what, () => {
          const encoder = device.createCommandEncoder();
          copyOutputs(encoder);
          device.queue.submit([encoder.finish()]);
          return takeOutputs();
        }),
      ),
    time: () =>
      inTurn(() => {
        write(new Map());
        return timeDispatches(opened, encoded);
      }),
    destroy: destroyAll,
  };
}

/** Runs pieces of work one after the other, whether or not one before fails. */
function queue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work, work);
    last = result;
    return result;
  };
}

function writeUniforms(device: GPUDevice, buffer: GPUBuffer, uniforms: readonly (readonly number[])[]): void {
  const words = new Uint32Array((uniforms.length * uniformStride) / Uint32Array.BYTES_PER_ELEMENT);
  const wordsPerEntry = uniformStride / Uint32Array.BYTES_PER_ELEMENT;
  for (const [index, entry] of uniforms.entries()) words.set(entry, index * wordsPerEntry);
  device.queue.writeBuffer(buffer, 0, words);
}

function checkInput(path: string, tensor: TensorData, expected: PackageInput | undefined): void {
  if (expected === undefined)
    throw new UserError('wrong-input', `there is no input ${path}`, 'leave it out, or correct its name');
  if (tensor.dtype !== expected.dtype || tensor.shape.join() !== expected.shape.join())
    throw new UserError(
      'wrong-input',
      `the input ${path} is ${typeText(tensor)}, and ${typeText(expected)} is expected`,
      'give it as the entry declares it, or compile for these sizes',
    );
  checkTensorBytes(`the input ${path}`, tensor);
  if (expected.below !== undefined) checkIndices(`the input ${path}`, tensor, expected.below);
}

/** WebGPU writes whole words, from memory that no other thread writes. */
function writeTensor(device: GPUDevice, buffer: GPUBuffer, { bytes }: TensorData): void {
  if (bytes.byteLength === 0) return;
  const words = Math.ceil(bytes.byteLength / 4) * 4;
  if (words === bytes.byteLength && bytes.buffer instanceof ArrayBuffer) {
    device.queue.writeBuffer(buffer, 0, bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return;
  }
  const padded = new Uint8Array(words);
  padded.set(bytes);
  device.queue.writeBuffer(buffer, 0, padded);
}
