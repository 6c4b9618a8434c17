/** Tensors that are, and stay, in the memory of a WebGPU device. */
import { bufferBytes, bytesText, typeText } from '../../compiler/plan/storage-bytes.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { UserError } from '../errors.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import { bufferUsage } from './usage.ts';

/** Dense, row-major and packed, from the start of its buffer on; whole words of four bytes. */
export class DeviceTensor<
  const D extends Dtype = Dtype,
  const S extends readonly number[] = readonly number[],
> {
  readonly dtype: D;
  readonly shape: S;
  readonly buffer: GPUBuffer;

  /** @throws UserError when the buffer is too small, or kernels may not read it (usage `STORAGE`). */
  constructor(dtype: D, shape: S, buffer: GPUBuffer) {
    const [type, bytes] = [{ dtype, shape }, bufferBytes({ dtype, shape })];
    if (buffer.size < bytes)
      throw new UserError(
        'wrong-input',
        `${typeText(type)} takes a buffer of ${bytesText(bytes)}, and this one has ${bytesText(buffer.size)}`,
        'make a larger buffer, in whole words of 4 bytes',
      );
    if ((buffer.usage & bufferUsage.storage) === 0)
      throw new UserError(
        'wrong-input',
        `a buffer for ${typeText(type)} was made without the usage STORAGE`,
        'make it with GPUBufferUsage.STORAGE, and COPY_SRC and COPY_DST to copy it',
      );
    this.dtype = dtype;
    this.shape = shape;
    this.buffer = buffer;
  }
}

/** A tensor wherever it is. */
export type AnyTensor = TensorData | DeviceTensor;

export function isOnDevice(tensor: AnyTensor): tensor is DeviceTensor {
  return tensor instanceof DeviceTensor;
}
