/** Types and literals of WGSL. */
import type { Arithmetic } from '../../compiler/graph/graph.ts';
import type { Value } from './writer.ts';

const scalarTypes: { readonly [A in Arithmetic]: string } = {
  f32: 'f32',
  i32: 'i32',
  u32: 'u32',
  bool: 'bool',
};
const vectorTypes: { readonly [A in Arithmetic]: string } = {
  f32: 'vec4f',
  i32: 'vec4i',
  u32: 'vec4u',
  bool: 'vec4<bool>',
};

export function typeText(dtype: Arithmetic, width: 1 | 4): string {
  return width === 1 ? scalarTypes[dtype] : vectorTypes[dtype];
}

const literals: { readonly [A in Arithmetic]: (value: number) => string } = {
  f32: (value) => floatLiteral(Math.fround(value)),
  i32: (value) => (value < 0 ? `(${value})` : `${value}`),
  u32: (value) => `${value >>> 0}u`,
  bool: (value) => (value === 0 ? 'false' : 'true'),
};

/** Infinities and NaN have no literal, and a `bitcast` of constants that gives one does not compile. */
function floatLiteral(value: number): string {
  if (Number.isFinite(value)) {
    const text = `${value}`;
    const literal = /[.e]/.test(text) ? `${text}f` : `${text}.0f`;
    return value < 0 || Object.is(value, -0) ? `(${Object.is(value, -0) ? '-0.0f' : literal})` : literal;
  }
  if (Number.isNaN(value)) return 'float_of_bits(0x7fc00000u)';
  return value > 0 ? 'float_of_bits(0x7f800000u)' : 'float_of_bits(0xff800000u)';
}

export function literal(value: number, dtype: Arithmetic): Value {
  const text = literals[dtype](value);
  return { text, key: text, dtype, width: 1, depth: 0 };
}

/** The text of a value where four are wanted. */
export function splat(text: string, value: Value, width: 1 | 4): string {
  return width === value.width ? text : `${typeText(value.dtype, width)}(${text})`;
}

export const components = ['x', 'y', 'z', 'w'] as const;
