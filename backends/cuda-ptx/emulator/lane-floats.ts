/** The code of floating-point arithmetic, comparison and conversion, with one rounding as PTX says. */
import type { Expression } from '../../wasm/code.ts';
import type { Operand } from '../ptx.ts';
import { type PtxType, ptxTypes } from '../ptx-types.ts';
import {
  both,
  choose,
  doubles,
  floats,
  highWords,
  i32,
  laneOf,
  longs,
  lowWords,
  pairwise,
  run,
  shuffle,
  type Wide,
  words,
} from './code-text.ts';
import { bitsOf, type Emit } from './lane-integers.ts';
import type { LaneWriter } from './lane-writer.ts';
import type { ExactOperation, FloatFormat, Rounding } from './soft-float.ts';
import type { LaneInstruction } from './steps.ts';

const signBits = -(2 ** 31);

// ── f32 ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Numbers below the least normal one become zero, with their sign. */
export function flushed(writer: LaneWriter, value: Expression): Expression {
  const held = writer.hold(value);
  const isTiny = run('f32x4.lt', run('f32x4.abs', held), floats(2 ** -126));
  return writer.hold(choose(isTiny, run('v128.and', held, words(signBits)), held));
}

/** Every NaN that arithmetic gives is 0x7fffffff. */
export function canonical(writer: LaneWriter, value: Expression): Expression {
  const held = writer.hold(value);
  return writer.hold(choose(run('f32x4.eq', held, held), held, words(0x7fffffff)));
}

/** Held to 0 … 1; NaN is 0. */
export function saturated(writer: LaneWriter, value: Expression): Expression {
  const held = writer.hold(value);
  const isPositive = run('f32x4.lt', floats(0), held);
  return writer.hold(run('v128.and', isPositive, run('f32x4.min', held, floats(1))));
}

export function promoted(writer: LaneWriter, value: Expression): Wide {
  const held = writer.hold(value);
  return {
    low: writer.hold(run('f64x2.promote_low_f32x4', held)),
    high: writer.hold(run('f64x2.promote_low_f32x4', shuffle(held, held, [2, 3, 2, 3]))),
  };
}

export function demoted(writer: LaneWriter, value: Wide): Expression {
  const [low, high] = [value.low, value.high].map((half) => run('f32x4.demote_f64x2_zero', half));
  return writer.hold(shuffle(low!, high!, [0, 1, 4, 5]));
}

/**
 * A sum of doubles rounded to odd: what is lost is in its last bit, so that rounding it again to f32 is as
 * rounding the exact sum (Boldo and Melquiond, 2008). A product of f32 is exact.
 */
export function oddSum(writer: LaneWriter, product: Expression, c: Expression): Expression {
  const sum = writer.hold(run('f64x2.add', product, c));
  // What the sum lost, exactly (Knuth's TwoSum).
  const virtual = writer.hold(run('f64x2.sub', sum, product));
  const lost = writer.hold(
    run('f64x2.add', run('f64x2.sub', product, run('f64x2.sub', sum, virtual)), run('f64x2.sub', c, virtual)),
  );
  const isInexact = run('f64x2.lt', doubles(0), run('f64x2.abs', lost));
  const isEven = run('i64x2.eq', run('v128.and', sum, longs(1n)), words(0));
  const isAway = run('i64x2.shr_s', run('v128.xor', sum, lost), i32(63));
  const step = run('v128.or', isAway, longs(1n));
  return writer.hold(run('i64x2.add', sum, run('v128.and', step, run('v128.and', isInexact, isEven))));
}

function oddProductSum(writer: LaneWriter, a: Wide, b: Wide, c: Wide): Wide {
  const products = pairwise(a, b, (x, y) => writer.hold(run('f64x2.mul', x, y)));
  return pairwise(products, c, (x, y) => oddSum(writer, x, y));
}

export function fusedMultiplyAdd(
  writer: LaneWriter,
  a: Expression,
  b: Expression,
  c: Expression,
): Expression {
  if (writer.context.fusedMultiplyAdd) return run('f32x4.relaxed_madd', a, b, c);
  const [x, y, z] = [a, b, c].map((each) => promoted(writer, each)) as [Wide, Wide, Wide];
  return demoted(writer, oddProductSum(writer, x, y, z));
}

/** By the host, lane by lane, for what has no instruction. */
export function exactly(
  writer: LaneWriter,
  operation: ExactOperation,
  format: 'f32' | 'f64',
  rounding: Rounding,
  operands: readonly Wide[],
): Wide {
  const number = writer.context.roundingNumber(`${operation} ${format} ${rounding}`);
  const [a, b = a!, c = a!] = operands;
  return writer.eachDouble([a!, b, c], (x, y, z) => ({
    kind: 'call',
    callee: 'operate',
    type: 'f64',
    operands: [i32(number), x!, y!, z!],
  }));
}

type Arithmetic = 'add' | 'sub' | 'mul' | 'fma' | 'div' | 'sqrt';

/** The f32 next below (`rm`), above (`rp`) or toward zero (`rz`) of doubles that are rounded to odd. */
function demotedToward(writer: LaneWriter, value: Wide, rounding: 'rm' | 'rp' | 'rz'): Expression {
  const nearest = demoted(writer, value);
  const back = promoted(writer, nearest);
  const isPast: { readonly [R in typeof rounding]: (near: Expression, exact: Expression) => Expression } = {
    rm: (near, exact) => run('f64x2.lt', exact, near),
    rp: (near, exact) => run('f64x2.lt', near, exact),
    rz: (near, exact) => run('f64x2.lt', run('f64x2.abs', exact), run('f64x2.abs', near)),
  };
  const past = lowWords(pairwise(back, value, isPast[rounding]));
  // One step of magnitude: of zero there is none below, and the least number on the other side is next.
  const isNegative = run('i32x4.shr_s', nearest, i32(31));
  const grows: { readonly [R in typeof rounding]: Expression } = {
    rm: isNegative,
    rp: run('v128.not', isNegative),
    rz: words(0),
  };
  const stepped = run('i32x4.add', nearest, choose(grows[rounding], words(1), words(-1)));
  const isZero = run('f32x4.eq', nearest, floats(0));
  const least = words(rounding === 'rm' ? signBits + 1 : 1);
  return writer.hold(choose(past, choose(isZero, least, stepped), nearest));
}

/** Sums and products with one rounding in a direction: exact in f64, but for what rounding to odd keeps. */
function directed32(
  writer: LaneWriter,
  name: 'add' | 'sub' | 'mul' | 'fma',
  inputs: readonly Expression[],
  rounding: 'rm' | 'rp' | 'rz',
): Expression {
  const [a, b, c] = inputs.map((input) => promoted(writer, input)) as [Wide, Wide, Wide | undefined];
  if (name === 'mul')
    return demotedToward(
      writer,
      pairwise(a, b, (x, y) => writer.hold(run('f64x2.mul', x, y))),
      rounding,
    );
  const product = name === 'fma' ? pairwise(a, b, (x, y) => writer.hold(run('f64x2.mul', x, y))) : a;
  const addend = name === 'fma' ? c! : name === 'sub' ? both(b, (half) => run('f64x2.neg', half)) : b;
  const other = writer.holdWide(addend);
  const sums = pairwise(product, other, (x, y) => oddSum(writer, x, y));
  const result = demotedToward(writer, sums, rounding);
  if (rounding !== 'rm') return result;
  // Rounding down, what cancels is −0: all but +0 plus +0.
  const signs = highWords(pairwise(product, other, (x, y) => run('v128.or', x, y)));
  const isNothing = lowWords(both(sums, (half) => run('f64x2.eq', half, doubles(0))));
  return choose(isNothing, run('v128.and', signs, words(signBits)), result);
}

function float32(
  writer: LaneWriter,
  name: Arithmetic,
  inputs: readonly Expression[],
  rounding: Rounding,
): Expression {
  if (rounding !== 'rn') {
    const isSum = name !== 'div' && name !== 'sqrt';
    if (isSum && rounding !== 'rna') return directed32(writer, name, inputs, rounding);
    const wide = inputs.map((input) => promoted(writer, input));
    return demoted(writer, exactly(writer, name, 'f32', rounding, wide));
  }
  const [a, b, c] = inputs as [Expression, Expression, Expression];
  if (name === 'fma') return fusedMultiplyAdd(writer, a, b, c);
  return name === 'sqrt' ? run('f32x4.sqrt', a) : run(`f32x4.${name}`, a, b);
}

function float64(writer: LaneWriter, name: Arithmetic, inputs: readonly Wide[], rounding: Rounding): Wide {
  const [a, b, c] = inputs as [Wide, Wide, Wide];
  if (rounding === 'rn' && name === 'fma' && writer.context.fusedMultiplyAdd)
    return {
      low: run('f64x2.relaxed_madd', a.low, b.low, c.low),
      high: run('f64x2.relaxed_madd', a.high, b.high, c.high),
    };
  if (rounding !== 'rn' || name === 'fma') return exactly(writer, name, 'f64', rounding, inputs);
  if (name === 'sqrt') return both(a, (half) => run('f64x2.sqrt', half));
  return pairwise(a, b, (x, y) => run(`f64x2.${name}`, x, y));
}

// ── f16 and bf16 ───────────────────────────────────────────────────────────────────────────────────────────

type HalfType = 'f16' | 'bf16';

/** 16 bits of each lane as f32. */
export function halfToFloat(writer: LaneWriter, value: Expression, type: HalfType): Expression {
  if (type === 'bf16') return writer.hold(run('i32x4.shl', value, i32(16)));
  const held = writer.hold(value);
  const sign = run('i32x4.shl', run('v128.and', held, words(0x8000)), i32(16));
  const magnitude = writer.hold(run('i32x4.shl', run('v128.and', held, words(0x7fff)), i32(13)));
  // The exponent is moved by multiplying, which makes subnormal numbers normal; infinities and NaN after it.
  const scaled = run('f32x4.mul', magnitude, floats(2 ** 112));
  const isSpecial = run('i32x4.ge_s', magnitude, words(0x7c00 << 13));
  const special = run('v128.or', magnitude, words(0x7f800000));
  return writer.hold(run('v128.or', sign, choose(isSpecial, special, scaled)));
}

/** f32 to the nearest number of 16 bits, which are the lower ones of each lane. */
export function floatToHalf(writer: LaneWriter, value: Expression, type: HalfType): Expression {
  const held = writer.hold(value);
  const isUndefined = writer.hold(run('f32x4.ne', held, held));
  if (type === 'bf16') {
    const odd = run('v128.and', run('i32x4.shr_u', held, i32(16)), words(1));
    const rounded = run('i32x4.add', held, run('i32x4.add', odd, words(0x7fff)));
    return writer.hold(choose(isUndefined, words(0x7fff), run('i32x4.shr_u', rounded, i32(16))));
  }
  const sign = run('v128.and', run('i32x4.shr_u', held, i32(16)), words(0x8000));
  const magnitude = writer.hold(run('f32x4.abs', held));
  // Adding a number whose last bit is the last that is kept rounds to it: 2^13 times the power below.
  const isTiny = run('f32x4.lt', magnitude, floats(2 ** -14));
  const tiny = run('i32x4.sub', run('f32x4.add', magnitude, floats(0.5)), floats(0.5));
  const odd = run('v128.and', run('i32x4.shr_u', magnitude, i32(13)), words(1));
  const rounded = run('i32x4.add', magnitude, run('i32x4.add', odd, words(0xfff)));
  const normal = run('i32x4.sub', run('i32x4.shr_u', rounded, i32(13)), words(112 << 10));
  const isOver = run('f32x4.le', floats(65520), magnitude);
  const finite = choose(isTiny, tiny, normal);
  const result = run('v128.or', sign, choose(isOver, words(0x7c00), finite));
  return writer.hold(choose(isUndefined, words(0x7fff), result));
}

/** By the host, lane by lane: the bits of doubles in a narrower format. */
function narrowed(
  writer: LaneWriter,
  value: Wide,
  format: FloatFormat,
  rounding: Rounding,
  flags: { readonly saturates: boolean; readonly relu: boolean },
): Expression {
  const text = `narrow ${format} ${rounding} ${flags.saturates} ${flags.relu}`;
  const number = writer.context.roundingNumber(text);
  const call = (half: Expression, lane: number): Expression => ({
    kind: 'call',
    callee: 'narrow',
    type: 'i32',
    operands: [i32(number), laneOf('f64x2.extract_lane', half, lane)],
  });
  let result = words(0);
  for (let lane = 0; lane < 4; lane++)
    result = {
      kind: 'instruction',
      name: 'i32x4.replace_lane',
      operands: [result, call(lane < 2 ? value.low : value.high, lane % 2)],
      lane,
    };
  return writer.hold(result);
}

/** By the host, lane by lane: the numbers that bits of a narrow format stand for. */
function widened(writer: LaneWriter, value: Expression, format: FloatFormat): Wide {
  const held = writer.hold(value);
  const number = writer.context.roundingNumber(`widen ${format}`);
  const halves = [0, 2].map((first) => {
    let result = words(0);
    for (let lane = 0; lane < 2; lane++) {
      const bits = laneOf('i32x4.extract_lane', held, first + lane);
      const operands = [i32(number), bits];
      const called: Expression = { kind: 'call', callee: 'widen', type: 'f64', operands };
      result = { kind: 'instruction', name: 'f64x2.replace_lane', operands: [result, called], lane };
    }
    return writer.hold(result);
  });
  return { low: halves[0]!, high: halves[1]! };
}

// ── rules of arithmetic ────────────────────────────────────────────────────────────────────────────────────

export const packedOf: { readonly [T in PtxType]?: HalfType } = { f16x2: 'f16', bf16x2: 'bf16' };

/** Each half of 32 bits for itself. */
function eachHalf(
  writer: LaneWriter,
  type: PtxType,
  inputs: readonly Expression[],
  one: (type: HalfType, inputs: readonly Expression[]) => Expression,
): Expression {
  const half = packedOf[type];
  if (half === undefined) return one(type as HalfType, inputs);
  const held = inputs.map((input) => writer.hold(input));
  const lower = one(
    half,
    held.map((input) => run('v128.and', input, words(0xffff))),
  );
  const upper = one(
    half,
    held.map((input) => run('i32x4.shr_u', input, i32(16))),
  );
  return writer.hold(run('v128.or', lower, run('i32x4.shl', upper, i32(16))));
}

function isHalf(type: PtxType): boolean {
  return type === 'f16' || type === 'bf16' || packedOf[type] !== undefined;
}

export function isFloat(type: PtxType): boolean {
  return ptxTypes[type].class === 'float' || ptxTypes[type].class === 'packed';
}

export function flushedHalf(writer: LaneWriter, value: Expression): Expression {
  const isTiny = run('f32x4.lt', run('f32x4.abs', value), floats(2 ** -14));
  return writer.hold(choose(isTiny, run('v128.and', value, words(signBits)), value));
}

/** f16 and bf16 through f32, whose rounding is not seen in theirs but for a · b + c. */
function half(
  writer: LaneWriter,
  name: Arithmetic,
  type: HalfType,
  inputs: readonly Expression[],
  { ftz, sat, relu }: LaneInstruction['modifiers'],
): Expression {
  const flush = (value: Expression): Expression =>
    ftz !== undefined && type === 'f16' ? flushedHalf(writer, value) : value;
  const values = inputs.map((input) => flush(halfToFloat(writer, input, type)));
  let result: Expression;
  if (name === 'fma') {
    const [a, b, c] = values.map((each) => promoted(writer, each)) as [Wide, Wide, Wide];
    const sums = oddProductSum(writer, a, b, c);
    result = narrowed(writer, sums, type, 'rn', { saturates: false, relu: relu !== undefined });
  } else result = floatToHalf(writer, float32(writer, name, values, 'rn'), type);
  if (sat === undefined && ftz === undefined) return result;
  const value = flush(halfToFloat(writer, result, type));
  return floatToHalf(writer, sat === undefined ? value : saturated(writer, value), type);
}

function arithmetic(name: Arithmetic): Emit {
  return (writer, instruction) => {
    const [to, ...from] = instruction.operands as [Operand, ...Operand[]];
    const [type] = instruction.types as [PtxType];
    const { rounding = 'rn', ftz, sat } = instruction.modifiers;
    if (isHalf(type)) {
      const inputs = from.map((each) => writer.word(each));
      const value = eachHalf(writer, type, inputs, (each, parts) =>
        half(writer, name, each, parts, instruction.modifiers),
      );
      writer.setWord(to, value);
      return;
    }
    if (type === 'f64') {
      const inputs = from.map((each) => writer.wide(each));
      writer.setWide(to, float64(writer, name, inputs, rounding as Rounding));
      return;
    }
    const flush = (value: Expression): Expression => (ftz === undefined ? value : flushed(writer, value));
    const inputs = from.map((each) => writer.hold(flush(writer.word(each))));
    const result = flush(canonical(writer, float32(writer, name, inputs, rounding as Rounding)));
    writer.setWord(to, sat === undefined ? result : saturated(writer, result));
  };
}

/** 1 / x. */
const reciprocal: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  const one: Operand =
    instruction.types[0] === 'f64'
      ? { kind: 'float', bits: 0x3ff0000000000000n, width: 64 }
      : { kind: 'float', bits: 0x3f800000n, width: 32 };
  arithmetic('div')(writer, { ...instruction, operands: [to, one, from] });
};

/** In f64, where errors are far below a unit in the last place of f32, and then to the nearest. */
function throughDouble(each: (writer: LaneWriter, half: Expression) => Expression): Emit {
  return (writer, instruction) => {
    const [to, from] = instruction.operands as [Operand, Operand];
    const [type] = instruction.types as [PtxType];
    const { ftz } = instruction.modifiers;
    if (type === 'f64') {
      writer.setWide(
        to,
        both(writer.wide(from), (half) => writer.hold(each(writer, half))),
      );
      return;
    }
    const compute = (value: Expression): Expression =>
      canonical(
        writer,
        demoted(
          writer,
          both(promoted(writer, value), (half) => writer.hold(each(writer, half))),
        ),
      );
    if (isHalf(type)) {
      const value = eachHalf(writer, type, [writer.word(from)], (kind, [part]) =>
        floatToHalf(writer, compute(halfToFloat(writer, part!, kind)), kind),
      );
      writer.setWord(to, value);
      return;
    }
    const flush = (value: Expression): Expression => (ftz === undefined ? value : flushed(writer, value));
    writer.setWord(to, flush(compute(flush(writer.word(from)))));
  };
}

/** A function of the host's of each double. */
function hostFunction(name: string): Emit {
  return throughDouble((writer, half) => {
    const held = writer.hold(half);
    let result = words(0);
    for (let lane = 0; lane < 2; lane++) {
      const operands = [laneOf('f64x2.extract_lane', held, lane)];
      const called: Expression = { kind: 'call', callee: name, type: 'f64', operands };
      result = { kind: 'instruction', name: 'f64x2.replace_lane', operands: [result, called], lane };
    }
    return result;
  });
}

/** 2^x: a power of two by its exponent, times the Taylor series of 2^r for |r| ≤ 1/2 (error 2e-10). */
const powerOfTwo = throughDouble((writer, half) => {
  const inside = writer.hold(run('f64x2.max', run('f64x2.min', half, doubles(1000)), doubles(-1000)));
  const nearest = writer.hold(run('f64x2.nearest', inside));
  const rest = writer.hold(run('f64x2.sub', inside, nearest));
  let series = doubles(0);
  for (let power = 8, factorial = 40320; power >= 0; factorial /= Math.max(power, 1), power--)
    series = writer.hold(
      run('f64x2.add', run('f64x2.mul', series, rest), doubles(Math.LN2 ** power / factorial)),
    );
  const whole = run('i64x2.extend_low_i32x4_s', run('i32x4.trunc_sat_f64x2_s_zero', nearest));
  const scale = run('i64x2.shl', run('i64x2.add', whole, longs(1023n)), i32(52));
  return run('f64x2.mul', series, scale);
});

const reciprocalRoot = throughDouble((_writer, half) =>
  run('f64x2.div', doubles(1), run('f64x2.sqrt', half)),
);

function sign(change: 'abs' | 'neg'): Emit {
  return (writer, instruction) => {
    const [to, from] = instruction.operands as [Operand, Operand];
    const [type] = instruction.types as [PtxType];
    if (type === 'f64') {
      writer.setWide(
        to,
        both(writer.wide(from), (half) => run(`f64x2.${change}`, half)),
      );
      return;
    }
    const { ftz } = instruction.modifiers;
    const word = writer.word(from);
    if (type === 'f32') {
      writer.setWord(to, run(`f32x4.${change}`, ftz === undefined ? word : flushed(writer, word)));
      return;
    }
    const bits = packedOf[type] === undefined ? 0x8000 : 0x80008000 | 0;
    writer.setWord(
      to,
      change === 'neg' ? run('v128.xor', word, words(bits)) : run('v128.andnot', word, words(bits)),
    );
  };
}

/** Where one is NaN the other, unless `.NaN` asks for NaN; −0 is below +0. */
function extremeOfFloats(name: 'min' | 'max'): Emit {
  return (writer, instruction) => {
    const [to, left, right, third] = instruction.operands as [Operand, Operand, Operand, Operand?];
    const [type] = instruction.types as [PtxType];
    const { nan, ftz, xorsign, relu } = instruction.modifiers;
    if (third !== undefined || xorsign !== undefined) writer.unsupported('.xorsign or a third operand');
    const of32 = (a: Expression, b: Expression): Expression => {
      const [x, y] = [writer.hold(a), writer.hold(b)];
      const plain = writer.hold(run(`f32x4.${name}`, x, y));
      const kept =
        nan !== undefined ? plain : choose(run('f32x4.eq', x, x), choose(run('f32x4.eq', y, y), plain, x), y);
      return canonical(writer, kept);
    };
    if (type === 'f64') {
      writer.setWide(
        to,
        pairwise(writer.wide(left), writer.wide(right), (x, y) =>
          choose(run('f64x2.eq', x, x), choose(run('f64x2.eq', y, y), run(`f64x2.${name}`, x, y), x), y),
        ),
      );
      return;
    }
    if (isHalf(type)) {
      const value = eachHalf(writer, type, [writer.word(left), writer.word(right)], (kind, parts) => {
        const [a, b] = parts.map((part) => halfToFloat(writer, part, kind)) as [Expression, Expression];
        const result = of32(a, b);
        const used = relu === undefined ? result : of32max(writer, result);
        return floatToHalf(writer, used, kind);
      });
      writer.setWord(to, value);
      return;
    }
    const flush = (value: Expression): Expression => (ftz === undefined ? value : flushed(writer, value));
    writer.setWord(to, of32(flush(writer.word(left)), flush(writer.word(right))));
  };
}

/** NaN stays; what is negative is zero. */
function of32max(writer: LaneWriter, value: Expression): Expression {
  return canonical(writer, run('f32x4.max', value, floats(0)));
}

const copySign: Emit = (writer, instruction) => {
  const [to, from, onto] = instruction.operands as [Operand, Operand, Operand];
  if (bitsOf(instruction) === 64)
    writer.setWide(
      to,
      pairwise(writer.wide(from), writer.wide(onto), (a, b) => choose(longs(-(2n ** 63n)), a, b)),
    );
  else writer.setWord(to, choose(words(signBits), writer.word(from), writer.word(onto)));
};

const testProperty: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  if (instruction.types[0] !== 'f32') writer.unsupported('a type but f32');
  const value = writer.hold(writer.word(from));
  const magnitude = writer.hold(run('f32x4.abs', value));
  const isTiny = run('f32x4.lt', magnitude, floats(2 ** -126));
  const isBounded = run('f32x4.lt', magnitude, floats(Number.POSITIVE_INFINITY));
  const results: { readonly [test: string]: Expression } = {
    finite: isBounded,
    infinite: run('f32x4.eq', magnitude, floats(Number.POSITIVE_INFINITY)),
    number: run('f32x4.eq', value, value),
    notanumber: run('f32x4.ne', value, value),
    normal: run('v128.andnot', isBounded, isTiny),
    subnormal: run('v128.andnot', isTiny, run('f32x4.eq', magnitude, floats(0))),
  };
  writer.setWord(to, results[instruction.modifiers.test ?? ''] ?? writer.unsupported('no test'));
};

// ── comparisons of floats, which other rules use ───────────────────────────────────────────────────────────

export type FloatComparison = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge';

/** Masks, of f32 in words or f64 in halves: `unordered` where NaN makes it true. */
export function compareFloats(
  shape: 'f32x4' | 'f64x2',
  comparison: FloatComparison | 'num' | 'nan',
  unordered: boolean,
  a: Expression,
  b: Expression,
): Expression {
  const less = (x: Expression, y: Expression): Expression => run(`${shape}.lt`, x, y);
  const atMost = (x: Expression, y: Expression): Expression => run(`${shape}.le`, x, y);
  const isNumber = run('v128.and', run(`${shape}.eq`, a, a), run(`${shape}.eq`, b, b));
  const not = (mask: Expression): Expression => run('v128.not', mask);
  const results: { readonly [C in FloatComparison | 'num' | 'nan']: () => Expression } = {
    // An unordered comparison is the negation of the opposite ordered one.
    lt: () => (unordered ? not(atMost(b, a)) : less(a, b)),
    le: () => (unordered ? not(less(b, a)) : atMost(a, b)),
    gt: () => (unordered ? not(atMost(a, b)) : less(b, a)),
    ge: () => (unordered ? not(less(a, b)) : atMost(b, a)),
    eq: () =>
      unordered ? run('v128.or', run(`${shape}.eq`, a, b), not(isNumber)) : run(`${shape}.eq`, a, b),
    ne: () => (unordered ? run(`${shape}.ne`, a, b) : run('v128.and', run(`${shape}.ne`, a, b), isNumber)),
    num: () => isNumber,
    nan: () => not(isNumber),
  };
  return results[comparison]();
}

// ── conversions from and to doubles and f32 ────────────────────────────────────────────────────────────────

/** The f32 of a float of at most 32 bits, which is exact, or nothing for what the host converts. */
export function asFloat32(writer: LaneWriter, word: Expression, type: PtxType): Expression | undefined {
  if (type === 'f32' || type === 'tf32') return word;
  return type === 'f16' || type === 'bf16' ? halfToFloat(writer, word, type) : undefined;
}

export function asDoubles(writer: LaneWriter, operand: Operand, type: PtxType): Wide {
  if (type === 'f64') return writer.wide(operand);
  return wordAsDoubles(writer, writer.word(operand), type);
}

export function wordAsDoubles(writer: LaneWriter, word: Expression, type: PtxType): Wide {
  const float = asFloat32(writer, word, type);
  return float === undefined ? widened(writer, word, type as FloatFormat) : promoted(writer, float);
}

/** The bits of doubles in a format of at most 32 bits. */
export function fromDoubles(
  writer: LaneWriter,
  value: Wide,
  type: PtxType,
  modifiers: LaneInstruction['modifiers'],
): Expression {
  const rounding = (modifiers.rounding ?? 'rn') as Rounding;
  const relu = modifiers.relu !== undefined;
  const saturates = modifiers.sat === 'satfinite';
  if (type === 'f32' && rounding === 'rn' && !relu) return canonical(writer, demoted(writer, value));
  return narrowed(writer, writer.holdWide(value), type as FloatFormat, rounding, { saturates, relu });
}

export const floatRules = {
  add: arithmetic('add'),
  sub: arithmetic('sub'),
  mul: arithmetic('mul'),
  fma: arithmetic('fma'),
  mad: arithmetic('fma'),
  div: arithmetic('div'),
  sqrt: arithmetic('sqrt'),
  rcp: reciprocal,
  rsqrt: reciprocalRoot,
  ex2: powerOfTwo,
  lg2: hostFunction('log2'),
  sin: hostFunction('sin'),
  cos: hostFunction('cos'),
  tanh: hostFunction('tanh'),
  abs: sign('abs'),
  neg: sign('neg'),
  min: extremeOfFloats('min'),
  max: extremeOfFloats('max'),
  copysign: copySign,
  testp: testProperty,
} as const satisfies Readonly<Record<string, Emit>>;
