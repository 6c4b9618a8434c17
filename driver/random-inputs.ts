/** Inputs from a seed: the same for the same seed, path and shape, on every machine. */
import { threefry2x32 } from '../compiler/graph/threefry.ts';
import type { EntryTensor } from '../compiler/lower/entry.ts';
import { elementCount, packedBytes } from '../compiler/plan/storage-bytes.ts';
import { type Dtype, dtypeFacts } from '../dsl/types/dtype.ts';
import { evaluateSize, natural } from '../dsl/types/size.ts';
import { UserError } from '../runtime/errors.ts';
import { computed, type StoredTensor } from '../runtime/weights/stored-tensor.ts';
import { type TensorData, tensorFromValues } from '../runtime/weights/tensor-data.ts';
import { checkMainMemory } from './memory.ts';

/** As `randomInput`, made when it is read. */
export function storedRandomInput(
  wanted: EntryTensor,
  sizes: ReadonlyMap<string, number>,
  seed: number,
): StoredTensor {
  const shape = wanted.dims.map((size) => evaluateSize(size, sizes) ?? 0);
  return computed({ dtype: randomDtype(wanted), shape }, () => randomInput(wanted, sizes, seed));
}

function randomDtype({ element }: EntryTensor): Dtype {
  return element.kind === 'dtype' ? element.dtype : element.kind === 'ix' ? 'i32' : 'f32';
}

/** Floats uniform in [−1, 1), indices uniform in their range, bools even, other integers below 16. */
export function randomInput(
  wanted: EntryTensor,
  sizes: ReadonlyMap<string, number>,
  seed: number,
): TensorData {
  const { path, element, dims } = wanted;
  const shape = dims.map((size) => evaluateSize(size, sizes) ?? 0);
  const count = shape.reduce((product, extent) => product * extent, 1);
  checkMainMemory(`the random input ${path}, [${shape.join(', ')}],`, count * Float64Array.BYTES_PER_ELEMENT);
  const words = wordsOf(path, seed);
  const dtype = randomDtype(wanted);
  const range = element.kind === 'ix' ? (evaluateSize(element.range, sizes) ?? 0) : 16;
  if (element.kind === 'ix' && range === 0 && count > 0) {
    throw new UserError('wrong-input', `${path} indexes a dimension of size 0`, 'choose sizes of at least 1');
  }
  const value = (word: number) =>
    dtypeFacts[dtype].class === 'float'
      ? (word >>> 8) / 2 ** 23 - 1
      : dtypeFacts[dtype].class === 'bool'
        ? word & 1
        : word % range;
  const isKey = element.kind === 'dtype' && element.dtype === 'u32' && shape.at(-1) === 2;
  const values = Float64Array.from({ length: count }, (_, place) => {
    const word = words(place);
    return isKey ? word : value(word);
  });
  return tensorFromValues(dtype, shape, values);
}

/**
 * As `randomInput`, for what is timed and not looked at: of a large tensor so many elements are drawn, and come
 * again.
 */
export function repeatedInput(
  { path, element, dims }: EntryTensor,
  sizes: ReadonlyMap<string, number>,
  seed: number,
): TensorData {
  const shape = dims.map((size) => evaluateSize(size, sizes) ?? 0);
  if (elementCount(shape) <= period) return randomInput({ path, element, dims }, sizes, seed);
  const { dtype, bytes: drawn } = randomInput({ path, element, dims: [natural(period)] }, sizes, seed);
  const bytes = new Uint8Array(packedBytes({ dtype, shape }));
  for (let at = 0; at < bytes.length; at += drawn.length) bytes.set(drawn.subarray(0, bytes.length - at), at);
  return { dtype, shape, bytes };
}

/** A prime number, so that rows differ. */
const period = 65_521;

/** Random words by position, different for each path. */
function wordsOf(path: string, seed: number): (place: number) => number {
  const hash = [...path].reduce((sum, letter) => Math.imul(sum ^ letter.charCodeAt(0), 16777619), 2166136261);
  return (place) => threefry2x32(seed >>> 0, hash >>> 0, place, 0)[0] >>> 0;
}
