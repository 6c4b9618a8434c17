/** Sums of multiples of values, as instructions. */
import { outermostFirst } from '../../writing/linear.ts';
import type { Sum } from './emission.ts';
import { literal, type Value } from './values.ts';
import type { Writer } from './writer.ts';

/** The sum as an i32, in which neighbours share all but the constant. */
export function sumOf(writer: Writer, sum: Sum): Value {
  const total = termsOf(writer, sum);
  if (total === undefined) return literal(sum.constant, 'i32');
  return sum.constant === 0
    ? total
    : writer.operation('add.s32', 'i32', [total, literal(sum.constant, 'i32')]);
}

/** All but the constant. */
export function termsOf(writer: Writer, sum: Sum): Value | undefined {
  let total: Value | undefined;
  for (const { value, coefficient } of outermostFirst(sum))
    if (total === undefined) total = scaled(writer, value, coefficient);
    else if (coefficient === 1) total = writer.operation('add.s32', 'i32', [total, value]);
    else if (coefficient === -1) total = writer.operation('sub.s32', 'i32', [total, value]);
    else total = writer.operation('mad.lo.s32', 'i32', [value, literal(coefficient, 'i32'), total]);
  return total;
}

function scaled(writer: Writer, value: Value, coefficient: number): Value {
  if (coefficient === 1) return value;
  const bits = Math.log2(coefficient);
  return Number.isInteger(bits)
    ? writer.operation('shl.b32', 'i32', [value, literal(bits, 'u32')])
    : writer.operation('mul.lo.s32', 'i32', [value, literal(coefficient, 'i32')]);
}
