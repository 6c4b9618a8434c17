/** Whether a kernel computes what the reference does, up to the rounding of f32. */
import { elementBytes } from '../../compiler/plan/storage-bytes.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import { type TensorData, tensorValues } from '../../runtime/weights/tensor-data.ts';

type Tensors = ReadonlyMap<string, TensorData>;

/** Of sums of thousands of terms, relative to the largest result. What is miscompiled is far beyond. */
const tolerance = 1e-4;

export function isNear(wanted: Tensors, found: Tensors): boolean {
  return [...wanted].every(([path, tensor]) => {
    const other = found.get(path);
    return other !== undefined && areNear(sampled(tensor), sampled(other));
  });
}

/** Of a tensor some more elements are compared, and all of a smaller one. */
const manyElements = 2 ** 17;

/**
 * Of many elements one in some prime number of them, so that neither places in tiles nor columns are passed
 * over.
 */
function sampled(tensor: TensorData): TensorData {
  const size = elementBytes(tensor.dtype);
  const count = tensor.bytes.byteLength / size;
  const step = primes.findLast((prime) => prime * manyElements <= count);
  if (step === undefined) return tensor;
  const taken = Math.ceil(count / step);
  const bytes = new Uint8Array(taken * size);
  for (let place = 0; place < taken; place++)
    for (let byte = 0; byte < size; byte++)
      bytes[place * size + byte] = tensor.bytes[place * step * size + byte]!;
  return { ...tensor, shape: [taken], bytes };
}

const primes = [5, 11, 23, 47, 97, 197, 397, 797, 1597, 3203];

function areNear(wanted: TensorData, found: TensorData): boolean {
  const [values, others] = [tensorValues(wanted), tensorValues(found)];
  if (values.length !== others.length) return false;
  const { class: kind, mantissa } = dtypeFacts[wanted.dtype];
  // Of narrow floats, roundings the other way.
  const relative = kind === 'float' ? Math.max(tolerance, 2 * 2 ** -mantissa) : 0;
  const largest = values.reduce(
    (most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
    0,
  );
  return values.every((value, place) => {
    const other = others[place]!;
    if (Object.is(value, other) || (Number.isNaN(value) && Number.isNaN(other))) return true;
    return Math.abs(value - other) <= relative * largest;
  });
}
