/**
 * What pointwise functions give on constants, where that is one value on every device: integer and logical functions,
 * and the f32 operations that IEEE 754 rounds correctly. The rest (exp, sin, …) are left to the device.
 */
import type { ScalarFunction } from '../../../dsl/types/scalar-functions.ts';
import type { Arithmetic, Scalar } from '../../graph/graph.ts';
import { constant } from '../../graph/scalar.ts';

/** A value of the type from an exact result: rounded for f32, modulo 2^32 for integers. */
export function wrap(type: Arithmetic, exact: number): number {
  switch (type) {
    case 'f32':
      return Math.fround(exact);
    case 'i32':
      return exact | 0;
    case 'u32':
      return exact >>> 0;
    case 'bool':
      return exact === 0 ? 0 : 1;
  }
}

type Fold = (type: Arithmetic, first: number, second: number, third: number) => number;

const folds: { readonly [F in ScalarFunction]?: Fold } = {
  add: (type, x, y) => wrap(type, x + y),
  sub: (type, x, y) => wrap(type, x - y),
  mul: (type, x, y) => (type === 'f32' ? wrap(type, x * y) : wrap(type, Math.imul(x, y))),
  div: (type, x, y) => wrap(type, x / y),
  floordiv: (type, x, y) => wrap(type, Math.floor(x / y)),
  mod: (type, x, y) => wrap(type, x - y * Math.floor(x / y)),
  neg: (type, x) => wrap(type, -x),
  abs: (type, x) => wrap(type, Math.abs(x)),
  sign: (_, x) => Math.sign(x),
  min: (_, x, y) => Math.min(x, y),
  max: (_, x, y) => Math.max(x, y),
  sqrt: (type, x) => wrap(type, Math.sqrt(x)),
  floor: (_, x) => Math.floor(x),
  ceil: (_, x) => Math.ceil(x),
  eq: (_, x, y) => Number(x === y),
  ne: (_, x, y) => Number(x !== y),
  lt: (_, x, y) => Number(x < y),
  le: (_, x, y) => Number(x <= y),
  and: (_, x, y) => x & y,
  or: (_, x, y) => x | y,
  not: (_, x) => 1 - x,
};

/** `scalar` as a constant, or undefined where it is not one or gives no finite number. */
export function foldConstant(scalar: Scalar): Scalar | undefined {
  if (scalar.op === 'convert' && scalar.operand.op === 'constant')
    return constant(scalar.dtype, convertConstant(scalar.operand.value, scalar.dtype));
  if (scalar.op !== 'apply') return undefined;
  const fold = folds[scalar.function];
  if (fold === undefined || !scalar.operands.every((operand) => operand.op === 'constant')) return undefined;
  const [first = 0, second = 0, third = 0] = scalar.operands.map((operand) => operand.value);
  const divides = scalar.function === 'floordiv' || scalar.function === 'mod';
  if (divides && second <= 0) return undefined;
  const result = fold(scalar.dtype, first, second, third);
  return Number.isFinite(result) ? constant(scalar.dtype, result) : undefined;
}

/** Float to integer truncates towards zero and saturates; NaN gives 0. Between integers, modulo 2^32. */
function convertConstant(source: number, to: Arithmetic): number {
  if (Number.isInteger(source) || to === 'f32' || to === 'bool') return wrap(to, source);
  if (Number.isNaN(source)) return 0;
  const [low, high] = to === 'i32' ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  return Math.min(high, Math.max(low, Math.trunc(source)));
}
