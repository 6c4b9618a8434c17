/** The memory of one device that runs a package: its slots, uniforms and the way of tensors in and out. */
import { type Expansion, type UniformEntry, uniformStride } from '../../compiler/plan/expand.ts';
import type { Manifest, PackageTensor } from '../../compiler/plan/package.ts';
import { bufferBytes, bytesText, packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { inputsToCome } from '../package-inputs.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { OpenedDevice } from './device.ts';
import { type AnyTensor, DeviceTensor, isOnDevice } from './device-tensor.ts';
import type { CommandSite } from './encode.ts';
import type { Transfers } from './runner.ts';
import { bufferUsage, mapForReading } from './usage.ts';

export interface PackageMemory
  extends CommandSite,
    Transfers<ReadonlyMap<string, AnyTensor>, Map<string, TensorData>, Map<string, DeviceTensor>> {
  /** Where each slot is now: inputs that are on the device are used where they are. */
  readonly buffers: () => readonly GPUBuffer[];
  /** Takes note of inputs that are on the device; `write` does with those that are not. */
  readonly bind: (given: ReadonlyMap<string, AnyTensor>) => void;
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
  if (uniformBuffer !== undefined)
    writeUniforms(
      device,
      uniformBuffer,
      uniforms.map((entry) => wordsOf(entry, coordinate)),
    );
  const bound = [...slots];
  const outputBuffer = (output: PackageTensor) => bound[finalBuffer[output.slot]!]!;
  const take = inputsToCome<AnyTensor>(manifest, (tensor) => (isOnDevice(tensor) ? undefined : tensor));
  const slotOfInput = new Map(manifest.inputs.map(({ path, slot }) => [path, slot]));

  return {
    bytes: memory.bytes(),
    slots,
    uniforms: uniformBuffer,
    buffers: () => bound,
    bind: (given) => {
      for (const [path, tensor] of given) {
        const slot = slotOfInput.get(path);
        // A kernel must not read what it writes: what is in a slot of this package is copied.
        if (slot !== undefined)
          bound[slot] = isOnDevice(tensor) && !slots.includes(tensor.buffer) ? tensor.buffer : slots[slot]!;
      }
    },
    write: (given = new Map()) =>
      take(given, ({ slot }, tensor) => {
        const buffer = slots[slot]!;
        if (!isOnDevice(tensor)) writeTensor(device, buffer, tensor);
        else if (bound[slot] === buffer) copyTensor(device, tensor, buffer);
      }),
    outputs: () =>
      new Map(
        manifest.outputs.map((output) => {
          const { path, dtype, shape } = output;
          return [path, new DeviceTensor(dtype, shape, outputBuffer(output))];
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
        const { path, dtype, shape } = output;
        results.set(path, { dtype, shape, bytes: mapped.slice(offset, offset + packedBytes(output)) });
        offset += bufferBytes(output);
      }
      readback.unmap();
      return results;
    },
    destroy: memory.destroy,
  };
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
