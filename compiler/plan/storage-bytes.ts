/** How many bytes a tensor takes. */
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import type { TensorType } from '../graph/graph.ts';

/** Storage is addressed in words of this many bytes: WGSL has no narrower loads. */
export const wordBytes = 4;

export function elementBytes(dtype: Dtype): number {
  return dtypeFacts[dtype].bits / 8;
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** Densely packed, as in a file. */
export function packedBytes(tensor: TensorType): number {
  return elementCount(tensor.shape) * elementBytes(tensor.dtype);
}

/** Of a buffer that holds it: whole words, and at least one, since empty buffers cannot be bound. */
export function bufferBytes(tensor: TensorType): number {
  return Math.max(wordBytes, Math.ceil(packedBytes(tensor) / wordBytes) * wordBytes);
}

interface Typed {
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** `f32[8, 128]`, as in the language. */
export function typeText({ dtype, shape }: Typed): string {
  return shape.length === 0 ? dtype : `${dtype}[${shape.join(', ')}]`;
}

/** `1.5 GiB`, for people. */
export function bytesText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  const value = bytes / 1024 ** unit;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`;
}
