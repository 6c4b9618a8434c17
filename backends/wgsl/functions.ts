/**
 * What each pointwise function is in WGSL: one table, which misses a function only if it does not compile.
 */

import type { Arithmetic } from '../../compiler/graph/graph.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import { type HelperName, helperCall } from './helpers.ts';
import { typeText } from './wgsl-text.ts';

/** How an operation is written: `a`, `b`, `c` are operands of one width, `dtype` is that of the operands. */
export interface Rule {
  readonly write: (
    form: { readonly dtype: Arithmetic; readonly width: 1 | 4 },
    a: string,
    b: string,
    c: string,
    d: string,
  ) => string;
  /** What it calls, for operands of a type. */
  readonly helper?: (dtype: Arithmetic) => HelperName | undefined;
  /** Has no vector form: is done for each of the four by itself. */
  readonly scalarOnly?: true;
}

const infix = (operator: string): Rule => ({ write: (_, a, b) => `${a} ${operator} ${b}` });
/** Bools have no order in WGSL; here false is less than true. */
const order = (operator: '<' | '<=', ofBools: (a: string, b: string) => string): Rule => ({
  write: ({ dtype }, a, b) => (dtype === 'bool' ? ofBools(a, b) : `${a} ${operator} ${b}`),
});
const call = (name: string): Rule => ({ write: (_, a) => `${name}(${a})` });
const helper = (name: HelperName, operands: 1 | 2): Rule => ({
  helper: () => name,
  write: ({ width }, a, b) => `${helperCall({ name, width })}(${operands === 1 ? a : `${a}, ${b}`})`,
});

/** u32 needs no rounding towards minus infinity. */
const flooring = (name: 'floor_div' | 'floor_mod', operator: string): Rule => ({
  helper: (dtype) => (dtype === 'u32' ? undefined : name),
  write: ({ dtype, width }, a, b) =>
    dtype === 'u32' ? `${a} ${operator} ${b}` : `${helperCall({ name, width })}(${a}, ${b})`,
});

/** NaN of NaN, which the builtins of WGSL do not promise. */
const extreme = (name: 'nan_max' | 'nan_min', builtin: 'max' | 'min'): Rule => ({
  helper: (dtype) => (dtype === 'f32' ? name : undefined),
  write: ({ dtype, width }, a, b) =>
    dtype === 'f32' ? `${helperCall({ name, width })}(${a}, ${b})` : `${builtin}(${a}, ${b})`,
});

const signs: { readonly [D in Arithmetic]: Rule['write'] } = {
  f32: ({ width }, a) => `${helperCall({ name: 'nan_sign', width })}(${a})`,
  i32: (_, a) => `sign(${a})`,
  u32: ({ width }, a) => `min(${a}, ${typeText('u32', width)}(1u))`,
  bool: (_, a) => a,
};

/** `select` where a driver may leave out the side that is NaN. */
export const selectBits: Rule = {
  helper: () => 'select_bits',
  write: ({ width }, condition, yes, no) =>
    `${helperCall({ name: 'select_bits', width })}(${no}, ${yes}, ${condition})`,
};

const shift = (operator: '<<' | '>>'): Rule => ({
  write: (_, word, amount) => `${word} ${operator} (${amount} % 32u)`,
});

const threefry = (word: 'x' | 'y'): Rule => ({
  helper: () => 'threefry',
  scalarOnly: true,
  write: (_, a, b, c, d) => `threefry(${a}, ${b}, ${c}, ${d}).${word}`,
});

export const functionRules: { readonly [F in ScalarFunction]: Rule } = {
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  div: infix('/'),
  floordiv: flooring('floor_div', '/'),
  mod: flooring('floor_mod', '%'),
  neg: { write: ({ dtype }, a) => (dtype === 'u32' ? `~${a} + 1u` : `-${a}`) },
  abs: call('abs'),
  sign: {
    helper: (dtype) => (dtype === 'f32' ? 'nan_sign' : undefined),
    write: (form, ...operands) => signs[form.dtype](form, ...operands),
  },
  min: extreme('nan_min', 'min'),
  max: extreme('nan_max', 'max'),
  exp: helper('nan_exp', 1),
  log: helper('full_log', 1),
  sqrt: call('sqrt'),
  rsqrt: call('inverseSqrt'),
  sin: helper('exact_sin', 1),
  cos: helper('exact_cos', 1),
  tanh: helper('safe_tanh', 1),
  erf: helper('erf', 1),
  pow: helper('real_pow', 2),
  floor: call('floor'),
  ceil: call('ceil'),
  round: call('round'),
  eq: infix('=='),
  // `!=` is false of NaN on some drivers, and `==` on all.
  ne: { write: (_, a, b) => `!(${a} == ${b})` },
  lt: order('<', (a, b) => `!${a} & ${b}`),
  le: order('<=', (a, b) => `!${a} | ${b}`),
  and: infix('&'),
  or: infix('|'),
  not: { write: (_, a) => `!${a}` },
  // Reads are never out of bounds in WGSL, whatever the index: both sides may be evaluated.
  select: { write: (_, condition, yes, no) => `select(${no}, ${yes}, ${condition})` },
  shift_left: shift('<<'),
  shift_right: shift('>>'),
  threefry0: threefry('x'),
  threefry1: threefry('y'),
};
