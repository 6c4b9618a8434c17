/** Sums of multiples of values, as instructions. */
import { type Linear as LinearOf, outermostFirst } from '../writing/linear.ts';
import { literal } from './values.ts';
import type { Value, Writer } from './writer.ts';

export type Linear = LinearOf<Value>;

/**
 * The sum as a value: the outermost terms first, the constant last, so that neighbours share all but that.
 */
export function sumOf(writer: Writer, linear: Linear): Value {
  const { constant } = linear;
  let total: Value | undefined;
  for (const { value, coefficient } of outermostFirst(linear)) {
    const part = scaled(writer, value, coefficient);
    total = total === undefined ? part : writer.instruction('i32.add', 'i32', [total, part]);
  }
  if (total === undefined) return literal(constant, 'i32');
  return constant === 0 ? total : writer.instruction('i32.add', 'i32', [total, literal(constant, 'i32')]);
}

function scaled(writer: Writer, value: Value, coefficient: number): Value {
  if (coefficient === 1) return value;
  const shift = Math.log2(coefficient);
  return Number.isInteger(shift)
    ? writer.instruction('i32.shl', 'i32', [value, literal(shift, 'i32')])
    : writer.instruction('i32.mul', 'i32', [value, literal(coefficient, 'i32')]);
}
