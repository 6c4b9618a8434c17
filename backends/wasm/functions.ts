/**
 * What each pointwise function is in WebAssembly: one table, which misses a function only if it does not
 * compile.
 */
import type { Arithmetic } from '../../compiler/graph/graph.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import { callHelper, type Emission } from './emission.ts';
import type { HelperName } from './helpers.ts';
import { component, compose, knownInteger, literal, named, vectorLiteral, widen } from './values.ts';
import type { Value, Writer } from './writer.ts';

/** Operands are of one width and, but for the condition of a `select`, of the type `dtype`. */
type Rule = (
  emission: Emission,
  operands: readonly Value[],
  form: { readonly dtype: Arithmetic; readonly width: 1 | 4 },
) => Value;

const arithmetic =
  (operation: string): Rule =>
  ({ writer }, operands, { dtype, width }) =>
    writer.instruction(named(operation, dtype, width), dtype, operands);

/** What is not in i32 what it is in u32. */
const signed =
  (operation: string, result?: Arithmetic): Rule =>
  ({ writer }, operands, { dtype, width }) => {
    const suffix = dtype === 'f32' ? '' : dtype === 'i32' ? '_s' : '_u';
    return writer.instruction(named(`${operation}${suffix}`, dtype, width), result ?? dtype, operands);
  };

const equality =
  (operation: 'eq' | 'ne'): Rule =>
  ({ writer }, operands, { dtype, width }) =>
    writer.instruction(named(operation, dtype, width), 'bool', operands);

/** False is less than true. */
const order =
  (operation: 'lt' | 'le'): Rule =>
  (emission, operands, form) => {
    if (form.dtype !== 'bool') return signed(operation, 'bool')(emission, operands, form);
    const [left, right] = operands as [Value, Value];
    const isRaised = bitwise('and')(emission, [functionRules.not(emission, [left], form), right], form);
    if (operation === 'lt') return isRaised;
    return bitwise('or')(emission, [functionRules.not(emission, [left], form), right], form);
  };

const bitwise =
  (operation: 'and' | 'or'): Rule =>
  ({ writer }, operands, { dtype, width }) =>
    writer.instruction(width === 4 ? `v128.${operation}` : `i32.${operation}`, dtype, operands);

const extreme =
  (operation: 'min' | 'max'): Rule =>
  (emission, operands, form) => {
    if (form.dtype === 'f32' || form.width === 4) return signed(operation)(emission, operands, form);
    const [left, right] = operands as [Value, Value];
    const isLess = functionRules.lt(emission, [left, right], form);
    return choose(
      emission,
      isLess,
      ...(operation === 'min' ? ([left, right] as const) : ([right, left] as const)),
    );
  };

function choose({ writer }: Emission, condition: Value, yes: Value, no: Value): Value {
  const name = yes.width === 4 ? 'v128.bitselect' : yes.dtype === 'f32' ? 'f32.select' : 'select';
  return writer.instruction(name, yes.dtype, [yes, no, condition]);
}

const help =
  (name: HelperName): Rule =>
  (emission, operands, { dtype }) =>
    callHelper(emission, name, dtype, operands);

/** Instructions have this of floats only. */
const ofFloats =
  (operation: string): Rule =>
  ({ writer }, operands, { width }) =>
    writer.instruction(named(operation, 'f32', width), 'f32', operands);

/** Done for each of the four by itself. */
const oneByOne =
  (rule: Rule): Rule =>
  (emission, operands, form) => {
    if (form.width === 1) return rule(emission, operands, form);
    const { writer } = emission;
    const parts = [0, 1, 2, 3].map((lane) =>
      rule(
        emission,
        operands.map((operand) => component(writer, operand, lane)),
        { ...form, width: 1 },
      ),
    );
    return compose(writer, parts);
  };

/**
 * Rounded towards minus infinity. Where a condition discards the result the divisor may be 0, at which the
 * instruction would trap, as at the one quotient that is no i32.
 */
const flooring =
  (wanted: 'quotient' | 'remainder'): Rule =>
  ({ writer }, operands, { dtype }) => {
    const [left, right] = operands as [Value, Value];
    const run = (name: Parameters<typeof writer.instruction>[0], ...of: readonly Value[]) =>
      writer.instruction(name, dtype, of);
    const known = knownInteger(right);
    const isSafe = known !== undefined && known > 0;
    const suffix = dtype === 'u32' ? '_u' : '_s';
    const [zero, one] = [literal(0, 'i32'), literal(1, 'i32')];
    const isZero = run('i32.eqz', right);
    const overflows = run(
      'i32.and',
      run('i32.eq', left, literal(-(2 ** 31), 'i32')),
      run('i32.eq', right, literal(-1, 'i32')),
    );
    const traps = dtype === 'u32' ? isZero : run('i32.or', isZero, overflows);
    const divisor = isSafe ? right : run('select', one, right, traps);
    const rest = run(`i32.rem${suffix}`, left, divisor);
    if (dtype === 'u32') return wanted === 'remainder' ? rest : run('i32.div_u', left, divisor);
    const isOff = run(
      'i32.and',
      run('i32.ne', rest, zero),
      run('i32.lt_s', run('i32.xor', rest, divisor), zero),
    );
    if (wanted === 'remainder') return run('i32.add', rest, run('select', divisor, zero, isOff));
    return run('i32.sub', run('i32.div_s', left, divisor), isOff);
  };

/** By a power of two the lower bits are the remainder, the upper ones the quotient, of negatives too. */
const divided =
  (wanted: 'quotient' | 'remainder'): Rule =>
  (emission, operands, form) => {
    const { writer } = emission;
    const { dtype, width } = form;
    const [value, by] = operands as [Value, Value];
    const divisor = knownInteger(by);
    if (divisor === undefined || divisor <= 0 || (divisor & (divisor - 1)) !== 0)
      return oneByOne(flooring(wanted))(emission, operands, form);
    if (wanted === 'remainder') {
      const mask = widen(writer, literal(divisor - 1, dtype), width);
      return bitwise('and')(emission, [value, mask], form);
    }
    const name = named(dtype === 'u32' ? 'shr_u' : 'shr_s', dtype, width);
    return writer.instruction(name, dtype, [value, literal(Math.log2(divisor), 'i32')]);
  };

const absolute: Rule = (emission, operands, form) => {
  if (form.dtype === 'u32') return operands[0]!;
  if (form.dtype === 'f32' || form.width === 4) return arithmetic('abs')(emission, operands, form);
  const [value] = operands as [Value];
  const negative = functionRules.neg(emission, operands, form);
  const isNegative = emission.writer.instruction('i32.lt_s', 'bool', [value, literal(0, 'i32')]);
  return choose(emission, isNegative, negative, value);
};

const negated: Rule = (emission, operands, form) => {
  if (form.dtype === 'f32' || form.width === 4) return arithmetic('neg')(emission, operands, form);
  return emission.writer.instruction('i32.sub', form.dtype, [literal(0, 'i32'), operands[0]!]);
};

/** Of integers the difference of what it is above and below. */
const signOf: Rule = (emission, operands, form) => {
  if (form.dtype === 'f32') return help('sign')(emission, operands, form);
  if (form.dtype === 'bool') return operands[0]!;
  const { writer } = emission;
  const { width, dtype } = form;
  const zero = width === 4 ? vectorLiteral(0, dtype) : literal(0, dtype);
  const one = width === 4 ? vectorLiteral(1, dtype) : literal(1, dtype);
  const capped = functionRules.min(emission, [operands[0]!, one], form);
  if (dtype === 'u32') return capped;
  const least = writer.instruction(named('sub', dtype, width), dtype, [zero, one]);
  return functionRules.max(emission, [capped, least], form);
};

/** Vectors shift all their lanes by one amount alone: by more, to the left, is a product. */
const shift =
  (way: 'shl' | 'shr_u'): Rule =>
  (emission, operands, form) => {
    const { writer } = emission;
    if (form.width === 1) return writer.instruction(`i32.${way}`, 'u32', operands);
    const [bits, amount] = operands as [Value, Value];
    const known = knownInteger(amount);
    if (known !== undefined) return writer.instruction(`i32x4.${way}`, 'u32', [bits, literal(known, 'i32')]);
    if (way === 'shl') return writer.instruction('i32x4.mul', 'u32', [bits, powerOfTwo(writer, amount)]);
    return oneByOne(shift(way))(emission, operands, form);
  };

/** 2 to exponents modulo 32, by way of floats: their exponents are these numbers, and 127. */
function powerOfTwo(writer: Writer, exponents: Value): Value {
  const words = (value: number) => vectorLiteral(value, 'u32');
  const least = writer.instruction('v128.and', 'u32', [exponents, words(31)]);
  const biased = writer.instruction('i32x4.add', 'u32', [least, words(127)]);
  const floats = writer.instruction('i32x4.shl', 'u32', [biased, literal(23, 'i32')]);
  return writer.instruction('i32x4.trunc_sat_f32x4_u', 'u32', [floats]);
}

export const functionRules: { readonly [F in ScalarFunction]: Rule } = {
  add: arithmetic('add'),
  sub: arithmetic('sub'),
  mul: arithmetic('mul'),
  div: ofFloats('div'),
  floordiv: divided('quotient'),
  mod: divided('remainder'),
  neg: negated,
  abs: absolute,
  sign: signOf,
  min: extreme('min'),
  max: extreme('max'),
  exp: help('exp'),
  log: help('log'),
  sqrt: ofFloats('sqrt'),
  rsqrt: (emission, operands, form) => {
    const root = functionRules.sqrt(emission, operands, form);
    const one = widen(emission.writer, literal(1, 'f32'), form.width);
    return functionRules.div(emission, [one, root], form);
  },
  sin: help('sin'),
  cos: help('cos'),
  tanh: help('tanh'),
  erf: help('erf'),
  pow: help('pow'),
  floor: ofFloats('floor'),
  ceil: ofFloats('ceil'),
  round: ofFloats('nearest'),
  eq: equality('eq'),
  ne: equality('ne'),
  lt: order('lt'),
  le: order('le'),
  and: bitwise('and'),
  or: bitwise('or'),
  not: ({ writer }, operands, { width }) =>
    writer.instruction(width === 4 ? 'v128.not' : 'i32.eqz', 'bool', operands),
  // Reads never trap, whatever the index: both sides may be evaluated.
  select: (emission, [condition, yes, no]) => choose(emission, condition!, yes!, no!),
  shift_left: shift('shl'),
  shift_right: shift('shr_u'),
  threefry0: help('threefry0'),
  threefry1: help('threefry1'),
};

/** A pointwise function of values, the scalar ones extended where there are vectors. */
export function applyFunction(
  emission: Emission,
  name: ScalarFunction,
  dtype: Arithmetic,
  operands: readonly Value[],
): Value {
  const width = operands.some((operand) => operand.width === 4) ? 4 : 1;
  const wide = operands.map((operand) => widen(emission.writer, operand, width));
  const found = functionRules[name](emission, wide, { dtype: operands.at(-1)!.dtype, width });
  return { ...found, dtype };
}

/** Between arithmetic types. */
export function convert({ writer }: Emission, dtype: Arithmetic, value: Value): Value {
  const { width, dtype: from } = value;
  if (from === dtype) return value;
  const run = (name: Parameters<typeof writer.instruction>[0], ...operands: readonly Value[]) =>
    writer.instruction(name, dtype, operands);
  const zero = width === 4 ? vectorLiteral(0, from) : literal(0, from);
  if (dtype === 'bool') return run(named('ne', from, width), value, zero);
  if (from === 'bool') {
    if (width === 1) return dtype === 'f32' ? run('f32.convert_i32_u', value) : { ...value, dtype };
    return run('v128.and', value, widen(writer, literal(1, dtype), 4));
  }
  if (dtype === 'f32') {
    const sign = from === 'i32' ? 's' : 'u';
    return run(width === 4 ? `f32x4.convert_i32x4_${sign}` : `f32.convert_i32_${sign}`, value);
  }
  if (from !== 'f32') return { ...value, dtype };
  const sign = dtype === 'i32' ? 's' : 'u';
  return run(width === 4 ? `i32x4.trunc_sat_f32x4_${sign}` : `i32.trunc_sat_f32_${sign}`, value);
}
