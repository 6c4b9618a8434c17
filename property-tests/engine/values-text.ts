/** Tensors as people write them: `[[1, 0.5], [0, 2]]`. */
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { elementCount } from '../../compiler/graph/tensor-type.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';

/** Larger tensors are not shown. */
const mostShown = 64;

export function valuesText(tensor: TensorValue<number>): string {
  const count = elementCount(tensor);
  if (count > mostShown) return `${tensor.dtype}[${tensor.shape.join(', ')}], ${count} elements`;
  return literalText(tensor);
}

/** Nested lists, or the number of a scalar. */
export function literalText({ dtype, shape, data }: TensorValue<number>): string {
  const within = (dims: readonly number[], start: number): string => {
    const [extent, ...inner] = dims;
    if (extent === undefined) return elementText(dtype, data[start] as number);
    const stride = inner.reduce((product, each) => product * each, 1);
    const parts = Array.from({ length: extent }, (_, place) => within(inner, start + place * stride));
    return `[${parts.join(', ')}]`;
  };
  return within(shape, 0);
}

function elementText(dtype: Dtype, value: number): string {
  if (dtype === 'bool') return value === 0 ? 'false' : 'true';
  return Number.isFinite(value) ? shortest(dtype, value) : value > 0 ? 'inf' : value < 0 ? '-inf' : 'nan';
}

/** The shortest decimal that is stored as the value. */
function shortest(dtype: Dtype, value: number): string {
  for (let digits = 1; digits < 17; digits++) {
    const text = `${Number(value.toPrecision(digits))}`;
    if (Object.is(roundTo(dtype, Number(text)), value)) return text;
  }
  return `${value}`;
}
