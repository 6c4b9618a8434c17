/**
 * The pointwise functions: one table for the checker (signatures), the graph (which applies them), the
 * evaluator and the back ends (which must each have an entry for every name here, or they do not compile).
 */

/**
 * - `float`: float operands, computed and returned in f32;
 * - `number`: any one numeric arithmetic type in, the same out;
 * - `integer`: i32 or u32 in, the same out;
 * - `compare`: two of one type in, bool out;
 * - `bool`: bools in, bool out;
 * - `select`: (bool, t, t) → t;
 * - `bits`: u32 in, one u32 out.
 */
export type ScalarSignature = 'float' | 'number' | 'integer' | 'compare' | 'bool' | 'select' | 'bits';

interface ScalarFunctionFacts {
  readonly arity: number;
  readonly signature: ScalarSignature;
  /** Whether a user may call it by this name (the others are operators or internal). */
  readonly callable: boolean;
}

const facts = {
  add: { arity: 2, signature: 'number', callable: false },
  sub: { arity: 2, signature: 'number', callable: false },
  mul: { arity: 2, signature: 'number', callable: false },
  /** Float division. */
  div: { arity: 2, signature: 'float', callable: false },
  /** Integer division, rounding towards minus infinity; divisor > 0. */
  floordiv: { arity: 2, signature: 'integer', callable: true },
  /** Integer remainder with the sign of the divisor (which is > 0): always in [0, divisor). */
  mod: { arity: 2, signature: 'integer', callable: false },
  neg: { arity: 1, signature: 'number', callable: false },
  abs: { arity: 1, signature: 'number', callable: true },
  sign: { arity: 1, signature: 'number', callable: true },
  min: { arity: 2, signature: 'number', callable: true },
  max: { arity: 2, signature: 'number', callable: true },
  exp: { arity: 1, signature: 'float', callable: true },
  log: { arity: 1, signature: 'float', callable: true },
  sqrt: { arity: 1, signature: 'float', callable: true },
  rsqrt: { arity: 1, signature: 'float', callable: true },
  sin: { arity: 1, signature: 'float', callable: true },
  cos: { arity: 1, signature: 'float', callable: true },
  tanh: { arity: 1, signature: 'float', callable: true },
  erf: { arity: 1, signature: 'float', callable: true },
  pow: { arity: 2, signature: 'float', callable: true },
  floor: { arity: 1, signature: 'float', callable: true },
  ceil: { arity: 1, signature: 'float', callable: true },
  /** To the nearest integer, ties to even. */
  round: { arity: 1, signature: 'float', callable: true },
  eq: { arity: 2, signature: 'compare', callable: false },
  ne: { arity: 2, signature: 'compare', callable: false },
  lt: { arity: 2, signature: 'compare', callable: false },
  le: { arity: 2, signature: 'compare', callable: false },
  and: { arity: 2, signature: 'bool', callable: false },
  or: { arity: 2, signature: 'bool', callable: false },
  not: { arity: 1, signature: 'bool', callable: false },
  /** Only the chosen branch is evaluated: a load in the other one may be out of range. */
  select: { arity: 3, signature: 'select', callable: false },
  /** A word shifted towards its high or its low end, by the amount modulo 32; zeros come in. */
  shift_left: { arity: 2, signature: 'bits', callable: true },
  shift_right: { arity: 2, signature: 'bits', callable: true },
  /**
   * threefry2x32(key0, key1, counter0, counter1), first and second word (Salmon et al., SC'11; 20 rounds).
   */
  threefry0: { arity: 4, signature: 'bits', callable: true },
  threefry1: { arity: 4, signature: 'bits', callable: true },
} as const satisfies Record<string, ScalarFunctionFacts>;

export type ScalarFunction = keyof typeof facts;
export const scalarFunctions: { readonly [F in ScalarFunction]: ScalarFunctionFacts } = facts;
