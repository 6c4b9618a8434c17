/** The memory of one device that runs a package: its slots, uniforms and the way of tensors in and out. */
import type { Sizes } from '../../compiler/graph/extent.ts';
import { type Expansion, type UniformEntry, uniformStride } from '../../compiler/plan/expand.ts';
import type { Manifest, PackageTensor } from '../../compiler/plan/package.ts';
import { bufferBytes, bytesText, elementBytes, packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { groupsAt } from '../../compiler/tiles/ends.ts';
import { UserError } from '../errors.ts';
import { inputsToCome } from '../package-inputs.ts';
import { runSizes, shapeAt } from '../run-sizes.ts';
import { copyBox, isPrefix } from '../weights/boxes.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { OpenedDevice } from './device.ts';
import { type AnyTensor, DeviceTensor, isOnDevice } from './device-tensor.ts';
import type { CommandSite, Grid } from './encode.ts';
import type { Transfers } from './runner.ts';
import { bufferUsage, mapForReading } from './usage.ts';

type Given = ReadonlyMap<string, AnyTensor>;

export interface PackageMemory
  extends CommandSite,
    Omit<Transfers<Given, Map<string, TensorData>, Map<string, DeviceTensor>>, 'write'> {
  /**
   * @param said sizes of a bounded package, that no shape tells
   * @throws UserError `wrong-input` if inputs are wrong, or never came. `undefined` gives none.
   */
  readonly write: (given: Given | undefined, said?: Sizes) => void;
  /** Where each slot is now: inputs that are on the device are used where they are. */
  readonly buffers: () => readonly GPUBuffer[];
  /** Takes note of inputs that are on the device; `write` does with those that are not. */
  readonly bind: (given: Given) => void;
  /** Of its own. */
  readonly bytes: number;
  readonly destroy: () => void;
}

/** @param coordinate the device's own, along an axis of the mesh that the package is for */
export async function allocateMemory(
  manifest: Manifest,
  { uniforms, finalBuffer }: Expansion,
  { device, guard }: OpenedDevice,
  coordinate: (axis: string) => number,
): Promise<PackageMemory> {
  const memory = createAllocator(device);
  const { slots, uniformBuffer, readback } = await guard(
    `${bytesText(manifest.peakBytes)} of tensors`,
    () => {
      const { storage, copySource, copyDestination, mapRead } = bufferUsage;
      const readBytes = manifest.outputs.reduce((sum, output) => sum + bufferBytes(output), 0);
      return {
        slots: manifest.slots.map((slot, index) =>
          memory.allocate(`slot ${index}`, slot.bytes, storage | copySource | copyDestination),
        ),
        uniformBuffer: memory.allocateUniforms(uniforms.length),
        readback:
          readBytes === 0 ? undefined : memory.allocate('read back', readBytes, mapRead | copyDestination),
      };
    },
  ).catch((error: unknown) => {
    memory.destroy();
    throw error;
  });
  const sizes = runSizes(manifest);
  const writeWords = (named: (name: string) => number) => {
    if (uniformBuffer !== undefined)
      writeUniforms(
        device,
        uniformBuffer,
        uniforms.map((entry) => wordsOf(entry, named)),
      );
  };
  const isBounded = manifest.bounded !== undefined;
  if (!isBounded) writeWords(coordinate);
  const grids = gridsOf(manifest);
  let written: Sizes = new Map();
  const toRun = (): void => {
    const now = sizes.current();
    if (!isBounded || now === written) return;
    writeWords((size) => now.get(size) ?? 0);
    for (const { name, grid, gridEnds } of manifest.kernels)
      for (const [dim, end] of (gridEnds ?? []).entries())
        grids.get(name)![dim] = groupsAt(grid[dim]!, end ?? undefined, now);
    written = now;
  };
  /** Inputs with room behind their ends, laid out on their way. */
  const laidOut = new Map<number, Uint8Array<ArrayBuffer>>();
  const withRoom = ({ slot, dtype, shape }: PackageTensor, { bytes, shape: own }: TensorData): Uint8Array => {
    if (isPrefix(own, shape)) return bytes;
    const room = laidOut.get(slot) ?? new Uint8Array(bufferBytes({ dtype, shape }));
    laidOut.set(slot, room);
    copyBox(bytes, own, room, shape, elementBytes(dtype));
    return room;
  };
  const bound = [...slots];
  const outputBuffer = (output: PackageTensor) => bound[finalBuffer[output.slot]!]!;
  const take = inputsToCome<AnyTensor>(manifest, sizes, (tensor) =>
    isOnDevice(tensor) ? undefined : tensor,
  );
  const inputAt = new Map(manifest.inputs.map((input) => [input.path, input]));

  return {
    bytes: memory.bytes(),
    slots,
    uniforms: uniformBuffer,
    buffers: () => bound,
    bind: (given) => {
      for (const [path, tensor] of given) {
        const input = inputAt.get(path);
        if (input !== undefined && isOnDevice(tensor)) checkInPlace(`the input ${path}`, tensor.shape, input);
        const slot = input?.slot;
        // A kernel must not read what it writes: what is in a slot of this package is copied.
        if (slot !== undefined)
          bound[slot] = isOnDevice(tensor) && !slots.includes(tensor.buffer) ? tensor.buffer : slots[slot]!;
      }
    },
    grids,
    write: (given = new Map(), said) => {
      take(
        given,
        (input, tensor) => {
          const { slot } = input;
          const buffer = slots[slot]!;
          if (!isOnDevice(tensor)) writeBytes(device, buffer, withRoom(input, tensor));
          else if (bound[slot] === buffer) copyTensor(device, tensor, buffer);
        },
        said,
      );
      toRun();
    },
    outputs: () =>
      new Map(
        manifest.outputs.map((output) => {
          const { path, dtype } = output;
          checkInPlace(`the result ${path}`, shapeAt(output, sizes.current()), output);
          return [path, new DeviceTensor(dtype, shapeAt(output, sizes.current()), outputBuffer(output))];
        }),
      ),
    copyOutputs: (encoder) => {
      let offset = 0;
      for (const output of manifest.outputs) {
        encoder.copyBufferToBuffer(outputBuffer(output), 0, readback!, offset, bufferBytes(output));
        offset += bufferBytes(output);
      }
    },
    takeOutputs: async () => {
      const results = new Map<string, TensorData>();
      if (readback === undefined) return results;
      await readback.mapAsync(mapForReading);
      const mapped = new Uint8Array(readback.getMappedRange());
      let offset = 0;
      for (const output of manifest.outputs) {
        const { path, dtype } = output;
        const shape = shapeAt(output, sizes.current());
        const bytes = new Uint8Array(packedBytes({ dtype, shape }));
        copyBox(mapped.subarray(offset), output.shape, bytes, shape, elementBytes(dtype));
        results.set(path, { dtype, shape, bytes });
        offset += bufferBytes(output);
      }
      readback.unmap();
      return results;
    },
    destroy: memory.destroy,
  };
}

/** @throws UserError when a tensor on the device is not as it lies where there is room for the largest */
function checkInPlace(what: string, shape: readonly number[], { shape: room, ends }: PackageTensor): void {
  if (ends === undefined || (shape.length === room.length && isPrefix(shape, room))) return;
  throw new UserError(
    'wrong-input',
    `${what} cannot be on the device: in memory its dimensions are as long as their bounds`,
    'bound its first dimension only, or have it in the memory of the host',
  );
}

/** Of kernels of which a run decides how many workgroups there are. */
function gridsOf({ kernels }: Manifest): ReadonlyMap<string, Grid> {
  return new Map(
    kernels.flatMap(({ name, grid, gridEnds }) => (gridEnds === undefined ? [] : [[name, [...grid]]])),
  );
}

export interface Allocator {
  readonly allocate: (label: string, size: number, usage: number) => GPUBuffer;
  /** Room for that many entries of uniforms; undefined for none. */
  readonly allocateUniforms: (entries: number) => GPUBuffer | undefined;
  /** Allocated so far. */
  readonly bytes: () => number;
  readonly destroy: () => void;
}

export function createAllocator(device: GPUDevice): Allocator {
  const allocated: GPUBuffer[] = [];
  const allocate = (label: string, size: number, usage: number): GPUBuffer => {
    const buffer = device.createBuffer({ label, size, usage });
    allocated.push(buffer);
    return buffer;
  };
  const { uniform, copyDestination } = bufferUsage;
  return {
    allocate,
    allocateUniforms: (entries) =>
      entries === 0 ? undefined : allocate('uniforms', entries * uniformStride, uniform | copyDestination),
    bytes: () => allocated.reduce((sum, buffer) => sum + buffer.size, 0),
    destroy: () => {
      for (const buffer of allocated) buffer.destroy();
    },
  };
}

function wordsOf({ words, axes }: UniformEntry, coordinate: (axis: string) => number): readonly number[] {
  return [...words, ...axes.map(coordinate)];
}

export function writeUniforms(
  device: GPUDevice,
  buffer: GPUBuffer,
  uniforms: readonly (readonly number[])[],
): void {
  const words = new Uint32Array((uniforms.length * uniformStride) / Uint32Array.BYTES_PER_ELEMENT);
  const wordsPerEntry = uniformStride / Uint32Array.BYTES_PER_ELEMENT;
  for (const [index, entry] of uniforms.entries()) words.set(entry, index * wordsPerEntry);
  device.queue.writeBuffer(buffer, 0, words);
}

function copyTensor(device: GPUDevice, { buffer: from, ...type }: DeviceTensor, to: GPUBuffer): void {
  if (from === to) return;
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(from, 0, to, 0, bufferBytes(type));
  device.queue.submit([encoder.finish()]);
}

/** WebGPU writes whole words, from memory that no other thread writes. */
function writeBytes(device: GPUDevice, buffer: GPUBuffer, bytes: Uint8Array): void {
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
