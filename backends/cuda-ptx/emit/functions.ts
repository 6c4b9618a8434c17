/** What each pointwise function is in PTX: one table, which misses a function only if it does not compile. */
import type { Arithmetic } from '../../../compiler/graph/graph.ts';
import type { ScalarFunction } from '../../../dsl/types/scalar-functions.ts';
import {
  errorFunction,
  hyperbolicTangent,
  logarithm,
  power,
  signOf,
  sine,
} from '../../formulas/functions.ts';
import type { Operations } from '../../formulas/operations.ts';
import { threefry } from '../../formulas/threefry.ts';
import { scalarOperations } from './scalar-operations.ts';
import { literal, type Value } from './values.ts';
import type { Writer } from './writer.ts';

/** Operands are, but for the condition of a `select`, of the type `dtype`. */
type Rule = (writer: Writer, operands: readonly Value[], dtype: Arithmetic) => Value;

type Opcodes = { readonly [D in Arithmetic]?: string };

/** An instruction for each type that has the function, of which the result is of the same type. */
const arithmetic =
  (opcodes: Opcodes): Rule =>
  (writer, operands, dtype) => {
    const opcode = opcodes[dtype];
    if (opcode === undefined) throw new Error(`no instruction of ${dtype}`);
    return writer.operation(opcode, dtype, operands);
  };

/** Of floats: as far off as two roundings at most, and of 1 as one. */
const divided: Rule = (writer, [value, divisor], dtype) =>
  value!.known === 1
    ? writer.operation('rcp.approx.f32', dtype, [divisor!])
    : writer.operation('div.full.f32', dtype, [value!, divisor!]);

const comparison =
  (opcodes: Opcodes, ofBools: (writer: Writer, left: Value, right: Value) => Value): Rule =>
  (writer, operands, dtype) => {
    const [left, right] = operands as [Value, Value];
    if (dtype === 'bool') return ofBools(writer, left, right);
    return writer.operation(opcodes[dtype]!, 'bool', operands);
  };

const not = (writer: Writer, value: Value): Value =>
  value.known === undefined
    ? writer.operation('not.pred', 'bool', [value])
    : literal(1 - value.known, 'bool');

/** Of predicates; with what is known already there is nothing to compute. */
function both(writer: Writer, left: Value, right: Value): Value {
  if (left.known !== undefined) return left.known === 0 ? left : right;
  if (right.known !== undefined) return both(writer, right, left);
  return writer.operation('and.pred', 'bool', [left, right]);
}

function either(writer: Writer, left: Value, right: Value): Value {
  if (left.known !== undefined) return left.known === 0 ? right : left;
  if (right.known !== undefined) return either(writer, right, left);
  return writer.operation('or.pred', 'bool', [left, right]);
}

function differ(writer: Writer, left: Value, right: Value): Value {
  if (left.known !== undefined) return left.known === 0 ? right : not(writer, right);
  if (right.known !== undefined) return differ(writer, right, left);
  return writer.operation('xor.pred', 'bool', [left, right]);
}

const selected = { f32: 'f32', i32: 's32', u32: 'u32' } as const;

const choose: Rule = (writer, [condition, yes, no], dtype) => {
  if (condition!.known !== undefined) return condition!.known === 0 ? no! : yes!;
  if (yes!.key === no!.key) return yes!;
  if (dtype !== 'bool') return writer.operation(`selp.${selected[dtype]}`, dtype, [yes!, no!, condition!]);
  return either(writer, both(writer, condition!, yes!), both(writer, not(writer, condition!), no!));
};

const formula =
  (write: (operations: Operations<Value, Value>, operands: readonly Value[]) => Value): Rule =>
  (writer, operands) =>
    write(scalarOperations(writer), operands);

/**
 * Rounded towards minus infinity. By a power of two the upper bits are the quotient and the lower ones the
 * remainder, of negatives too.
 */
const floored =
  (wanted: 'quotient' | 'remainder'): Rule =>
  (writer, operands, dtype) => {
    const [value, divisor] = operands as [Value, Value];
    const run = (opcode: string, ...of: readonly Value[]) => writer.operation(opcode, dtype, of);
    const type = dtype === 'u32' ? 'u32' : 's32';
    const { known } = divisor;
    if (known !== undefined && known > 0 && Number.isInteger(Math.log2(known)))
      return wanted === 'quotient'
        ? run(`shr.${type}`, value, literal(Math.log2(known), 'u32'))
        : run('and.b32', value, literal(known - 1, dtype));
    const [quotient, rest] = [run(`div.${type}`, value, divisor), run(`rem.${type}`, value, divisor)];
    if (dtype === 'u32') return wanted === 'quotient' ? quotient : rest;
    const zero = literal(0, 'i32');
    const isOther = writer.operation('setp.lt.s32', 'bool', [run('xor.b32', rest, divisor), zero]);
    const isOff = both(writer, isOther, writer.operation('setp.ne.s32', 'bool', [rest, zero]));
    return wanted === 'quotient'
      ? choose(writer, [isOff, run('sub.s32', quotient, literal(1, 'i32')), quotient], dtype)
      : choose(writer, [isOff, run('add.s32', rest, divisor), rest], dtype);
  };

const sign: Rule = (writer, [value], dtype) => {
  if (dtype === 'f32') return signOf(scalarOperations(writer), value!);
  if (dtype === 'bool') return value!;
  const [one, least] = [literal(1, dtype), literal(-1, 'i32')];
  if (dtype === 'u32') return writer.operation('min.u32', dtype, [value!, one]);
  return writer.operation('max.s32', dtype, [writer.operation('min.s32', dtype, [value!, one]), least]);
};

/** By the amount modulo 32: an instruction takes more for 32. */
const shift =
  (opcode: string): Rule =>
  (writer, [word, amount]) =>
    writer.operation(opcode, 'u32', [
      word!,
      amount!.known === undefined
        ? writer.operation('and.b32', 'u32', [amount!, literal(31, 'u32')])
        : literal(amount!.known % 32, 'u32'),
    ]);

const log2e = literal(Math.LOG2E, 'f32');

/**
 * Off by two units in the last place (PTX ISA, "ex2"): so an exponential, whose operand is rounded once more,
 * is off by no more than 2 + |x|. What is below 2^-126 is 0, without which each takes four instructions more.
 */
function powerOfTwo(writer: Writer, exponent: Value): Value {
  return writer.operation('ex2.approx.ftz.f32', 'f32', [exponent]);
}

export const functionRules: { readonly [F in ScalarFunction]: Rule } = {
  // With a rounding they stay what they are; without, two of them may become a multiply-add.
  add: arithmetic({ f32: 'add.rn.f32', i32: 'add.s32', u32: 'add.u32' }),
  sub: arithmetic({ f32: 'sub.rn.f32', i32: 'sub.s32', u32: 'sub.u32' }),
  mul: arithmetic({ f32: 'mul.rn.f32', i32: 'mul.lo.s32', u32: 'mul.lo.u32' }),
  div: divided,
  floordiv: floored('quotient'),
  mod: floored('remainder'),
  neg: (writer, [value], dtype) =>
    dtype === 'f32'
      ? writer.operation('neg.f32', dtype, [value!])
      : writer.operation('sub.s32', dtype, [literal(0, dtype), value!]),
  abs: (writer, operands, dtype) =>
    dtype === 'u32' ? operands[0]! : arithmetic({ f32: 'abs.f32', i32: 'abs.s32' })(writer, operands, dtype),
  sign,
  min: arithmetic({ f32: 'min.NaN.f32', i32: 'min.s32', u32: 'min.u32' }),
  max: arithmetic({ f32: 'max.NaN.f32', i32: 'max.s32', u32: 'max.u32' }),
  exp: (writer, [x]) => powerOfTwo(writer, writer.operation('mul.rn.f32', 'f32', [x!, log2e])),
  log: formula((o, [x]) => logarithm(o, x!)),
  sqrt: arithmetic({ f32: 'sqrt.rn.f32' }),
  rsqrt: arithmetic({ f32: 'rsqrt.approx.f32' }),
  sin: formula((o, [x]) => sine(o, x!, 0)),
  cos: formula((o, [x]) => sine(o, x!, 1)),
  tanh: formula((o, [x]) => hyperbolicTangent(o, x!)),
  erf: formula((o, [x]) => errorFunction(o, x!)),
  pow: formula((o, [x, y]) => power(o, x!, y!)),
  floor: arithmetic({ f32: 'cvt.rmi.f32.f32' }),
  ceil: arithmetic({ f32: 'cvt.rpi.f32.f32' }),
  round: arithmetic({ f32: 'cvt.rni.f32.f32' }),
  eq: comparison({ f32: 'setp.eq.f32', i32: 'setp.eq.s32', u32: 'setp.eq.u32' }, (writer, left, right) =>
    not(writer, differ(writer, left, right)),
  ),
  ne: comparison({ f32: 'setp.neu.f32', i32: 'setp.ne.s32', u32: 'setp.ne.u32' }, differ),
  lt: comparison({ f32: 'setp.lt.f32', i32: 'setp.lt.s32', u32: 'setp.lt.u32' }, (writer, left, right) =>
    both(writer, not(writer, left), right),
  ),
  le: comparison({ f32: 'setp.le.f32', i32: 'setp.le.s32', u32: 'setp.le.u32' }, (writer, left, right) =>
    either(writer, not(writer, left), right),
  ),
  and: (writer, [left, right]) => both(writer, left!, right!),
  or: (writer, [left, right]) => either(writer, left!, right!),
  not: (writer, [value]) => not(writer, value!),
  // Reads stay in their buffers, whatever the index: both sides may be evaluated.
  select: choose,
  shift_left: shift('shl.b32'),
  shift_right: shift('shr.u32'),
  threefry0: formula((o, operands) => threefry(o, 0, operands as [Value, Value, Value, Value])),
  threefry1: formula((o, operands) => threefry(o, 1, operands as [Value, Value, Value, Value])),
};

/** A pointwise function of values, with a result of the type `dtype`. */
export function applyFunction(
  writer: Writer,
  name: ScalarFunction,
  dtype: Arithmetic,
  operands: readonly Value[],
): Value {
  const found = functionRules[name](writer, operands, operands.at(-1)!.dtype as Arithmetic);
  return { ...found, dtype };
}

const conversions: { readonly [From in Arithmetic]: { readonly [To in Arithmetic]?: string } } = {
  f32: { i32: 'cvt.rzi.s32.f32', u32: 'cvt.rzi.u32.f32', bool: 'setp.neu.f32' },
  i32: { f32: 'cvt.rn.f32.s32', bool: 'setp.ne.s32' },
  u32: { f32: 'cvt.rn.f32.u32', bool: 'setp.ne.u32' },
  bool: {},
};

/** Between arithmetic types: to integers towards zero, saturating, NaN to 0. */
export function convert(writer: Writer, dtype: Arithmetic, value: Value): Value {
  const from = value.dtype as Arithmetic;
  if (from === dtype) return value;
  if (from === 'bool') {
    const [one, zero] = [literal(1, dtype), literal(0, dtype)];
    return choose(writer, [value, one, zero], dtype);
  }
  const opcode = conversions[from][dtype];
  if (opcode === undefined) return { ...value, dtype };
  return writer.operation(opcode, dtype, dtype === 'bool' ? [value, literal(0, from)] : [value]);
}
