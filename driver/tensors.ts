/** Tensors as a TypeScript program makes and reads them. Their types carry dtype and shape. */
import { elementCount, typeText } from '../compiler/plan/storage-bytes.ts';
import type { Dtype } from '../dsl/types/dtype.ts';
import { UserError } from '../runtime/errors.ts';
import type { DeviceTensor } from '../runtime/webgpu/device-tensor.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';

/** A tensor whose dtype and shape its type knows: what generated declarations speak of. */
export interface Tensor<D extends Dtype = Dtype, S extends readonly number[] = readonly number[]>
  extends TensorData {
  readonly dtype: D;
  readonly shape: S;
}

/** What an entry takes: a tensor in memory, or one on the WebGPU device that the model runs on. */
export type Given<D extends Dtype = Dtype, S extends readonly number[] = readonly number[]> =
  | Tensor<D, S>
  | DeviceTensor<D, S>;

/** What a `float` of Ricci takes. */
export type Float = 'f32' | 'bf16' | 'f16' | 'f8e4m3' | 'f8e5m2';

export type Scalar<D extends Dtype = Dtype> = Tensor<D, readonly []>;

/** What randomness starts from: two words. */
export type Key = Tensor<'u32', readonly [2]>;

/**
 * A dense row-major tensor; `values` are rounded to the dtype.
 * @throws UserError when their count is not the product of the shape.
 */
export function tensor<const D extends Dtype, const S extends readonly number[]>(
  dtype: D,
  shape: S,
  values: ArrayLike<number>,
): Tensor<D, S> {
  const count = elementCount(shape);
  if (values.length !== count) {
    throw new UserError(
      'wrong-input',
      `${typeText({ dtype, shape })} takes ${count} values, not ${values.length}`,
      'give all elements in row-major order',
    );
  }
  return { ...tensorFromValues(dtype, shape, values), dtype, shape };
}

export function scalar<const D extends Dtype>(dtype: D, value: number): Scalar<D> {
  return tensor(dtype, [], [value]);
}

/** A key from a seed. */
export function key(seed: number): Key {
  return tensor('u32', [2], [Math.floor(seed / 2 ** 32) >>> 0, seed >>> 0]);
}

/** The elements in row-major order. */
export function valuesOf(data: TensorData): Float64Array {
  return tensorValues(data);
}
