/** Whether a kernel computes what the reference does, up to the rounding of f32. */
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import { type TensorData, tensorValues } from '../../runtime/weights/tensor-data.ts';

type Tensors = ReadonlyMap<string, TensorData>;

/** Of sums of thousands of terms, relative to the largest result. What is miscompiled is far beyond. */
const tolerance = 1e-4;

export function isNear(wanted: Tensors, found: Tensors): boolean {
  return [...wanted].every(([path, tensor]) => {
    const other = found.get(path);
    return other !== undefined && areNear(tensor, other);
  });
}

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
