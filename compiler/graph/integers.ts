/** Integer and bool arithmetic as every device does it: 32 bits, wrapping. Bools are 0 and 1. */
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import type { IntegerType } from './algebra.ts';
import { threefry2x32 } from './threefry.ts';

type Operation = (first: number, second: number, third: number, fourth: number) => number;

/** Brings an exact integer, or one off by a multiple of 2^32, into the type. */
const wrap: { readonly [T in IntegerType]: (value: number) => number } = {
  i32: (value) => value | 0,
  u32: (value) => value >>> 0,
  bool: (value) => (value === 0 ? 0 : 1),
};

type IntegerTable = {
  readonly [F in ScalarFunction]: ((type: IntegerType) => Operation) | undefined;
};

/** Undefined for what only floats have. The type is that of the operands. */
const operations: IntegerTable = {
  add: (type) =>
    type === 'i32' ? (left, right) => (left + right) | 0 : (left, right) => (left + right) >>> 0,
  sub: (type) =>
    type === 'i32' ? (left, right) => (left - right) | 0 : (left, right) => (left - right) >>> 0,
  mul: (type) => (type === 'i32' ? Math.imul : (left, right) => Math.imul(left, right) >>> 0),
  div: undefined,
  floordiv: (type) => (left, right) => wrap[type](Math.floor(left / right)),
  mod: (type) => (left, right) => wrap[type](left - right * Math.floor(left / right)),
  neg: (type) => (operand) => wrap[type](-operand),
  abs: (type) => (operand) => wrap[type](Math.abs(operand)),
  sign: () => Math.sign,
  min: () => (left, right) => Math.min(left, right),
  max: () => (left, right) => Math.max(left, right),
  exp: undefined,
  log: undefined,
  sqrt: undefined,
  rsqrt: undefined,
  sin: undefined,
  cos: undefined,
  tanh: undefined,
  erf: undefined,
  pow: undefined,
  floor: undefined,
  ceil: undefined,
  round: undefined,
  eq: () => (left, right) => Number(left === right),
  ne: () => (left, right) => Number(left !== right),
  lt: () => (left, right) => Number(left < right),
  le: () => (left, right) => Number(left <= right),
  and: () => (left, right) => left & right,
  or: () => (left, right) => left | right,
  not: () => (operand) => 1 - operand,
  // The evaluator chooses before it evaluates the branches.
  select: undefined,
  shift_left: () => (word, amount) => (word << (amount % 32)) >>> 0,
  shift_right: () => (word, amount) => word >>> (amount % 32),
  threefry0: () => (key0, key1, counter0, counter1) => threefry2x32(key0, key1, counter0, counter1)[0],
  threefry1: () => (key0, key1, counter0, counter1) => threefry2x32(key0, key1, counter0, counter1)[1],
};

/** What a pointwise function does with operands of the type. */
export function integerOperation(name: ScalarFunction, operands: IntegerType): Operation {
  const operation = operations[name];
  if (operation === undefined) throw new Error(`${name} is not a function of integers`);
  return operation(operands);
}

/** From integers and bools modulo 2^32. */
export function convertInteger(type: IntegerType, value: number): number {
  return wrap[type](value);
}

/** From floats: towards zero, saturating, NaN to 0; a bool is whether it differs from zero. */
export function truncateFloat(type: IntegerType, value: number): number {
  if (type === 'bool') return value === 0 ? 0 : 1;
  if (Number.isNaN(value)) return 0;
  const [least, greatest] = type === 'i32' ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  // Adding 0 makes 0 of −0.
  return Math.min(greatest, Math.max(least, Math.trunc(value))) + 0;
}
