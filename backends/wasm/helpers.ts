/**
 * Functions that kernels call, each on four at a time; a module has those that it uses. Their errors are
 * within what `compiler/graph/error-bound.ts` grants.
 */
import type { FunctionCode } from './code.ts';
import { type Formulas, formulasOf } from './formulas.ts';
import type { Value } from './writer.ts';
import { Writer } from './writer.ts';

type Operands = readonly [Value, Value, Value, Value];

interface Helper {
  readonly arity: number;
  readonly write: (formulas: Formulas, ...operands: Operands) => Value;
}

const helper = (arity: number, write: Helper['write']): Helper => ({ arity, write });

/**
 * After Cephes (Moshier), `expf`: e^x = 2^n · e^r with |r| ≤ ln 2 / 2, the power in two factors. The nearest
 * n is in the last bits of what has no bits for fractions.
 */
const exp = (o: Formulas, x: Value): Value => {
  const inside = o.clamp(x, -104, 89);
  const whole = o.float(1.5 * 2 ** 23);
  const shifted = o.multiplyAdd(inside, o.float(Math.LOG2E), whole);
  const n = o.run('f32x4.sub', shifted, whole);
  const exponent = o.run('i32x4.sub', shifted, whole);
  const most = o.multiplyAdd(n, o.float(-0.693359375), inside);
  const r = o.multiplyAdd(n, o.float(2.1219444e-4), most);
  const series = o.polynomial(
    r,
    [1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1],
  );
  const square = o.run('f32x4.mul', r, r);
  const value = o.run('f32x4.add', o.multiplyAdd(series, square, r), o.float(1));
  const half = o.shift('i32x4.shr_s', exponent, 1);
  const scale = (power: Value) => o.shift('i32x4.shl', o.run('i32x4.add', power, o.word(127)), 23);
  const partly = o.run('f32x4.mul', value, scale(half));
  return o.run('f32x4.mul', partly, scale(o.run('i32x4.sub', exponent, half)));
};

/** After Cephes, `logf`: x = 2^e · (1 + m) with 1 + m around 1. */
const log = (o: Formulas, x: Value): Value => {
  const isSmall = o.run('f32x4.lt', x, o.float(2 ** -126));
  const normal = o.choose(isSmall, o.run('f32x4.mul', x, o.float(2 ** 23)), x);
  const exponent = o.run(
    'i32x4.sub',
    o.shift('i32x4.shr_u', normal, 23),
    o.choose(isSmall, o.word(126 + 23), o.word(126)),
  );
  const mantissa = o.run('v128.or', o.run('v128.and', normal, o.word(0x007fffff)), o.word(0x3f000000));
  const isLow = o.run('f32x4.lt', mantissa, o.float(Math.SQRT1_2));
  const e = o.run('f32x4.convert_i32x4_s', o.run('i32x4.add', exponent, isLow));
  const doubled = o.choose(isLow, o.run('f32x4.add', mantissa, mantissa), mantissa);
  const m = o.run('f32x4.sub', doubled, o.float(1));
  const square = o.run('f32x4.mul', m, m);
  const series = o.polynomial(
    m,
    [
      7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
      2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    ],
  );
  const cubic = o.run('f32x4.mul', o.run('f32x4.mul', series, m), square);
  const low = o.run('f32x4.sub', cubic, o.run('f32x4.mul', e, o.float(2.1219444e-4)));
  const tail = o.run('f32x4.sub', low, o.run('f32x4.mul', square, o.float(0.5)));
  const value = o.run('f32x4.add', o.run('f32x4.add', m, tail), o.run('f32x4.mul', e, o.float(0.693359375)));
  const isInside = o.run(
    'v128.and',
    o.run('f32x4.lt', o.float(0), x),
    o.run('f32x4.lt', x, o.float(Number.POSITIVE_INFINITY)),
  );
  const atZero = o.choose(
    o.run('f32x4.eq', x, o.float(0)),
    o.float(Number.NEGATIVE_INFINITY),
    o.float(Number.NaN),
  );
  // Infinity and NaN are their own logarithms.
  const isOwn = o.run('v128.or', o.isNaN(x), o.run('f32x4.lt', o.float(0), x));
  return o.choose(isInside, value, o.choose(isOwn, x, atZero));
};

/** After Cephes, `tanhf`: a series up to 0.625; beyond, by the exponential. */
const tanh = (o: Formulas, x: Value): Value => {
  const magnitude = o.run('f32x4.abs', x);
  const square = o.run('f32x4.mul', x, x);
  const series = o.polynomial(
    square,
    [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1],
  );
  const near = o.run('f32x4.add', o.run('f32x4.mul', o.run('f32x4.mul', series, square), x), x);
  const power = exp(o, o.run('f32x4.add', magnitude, magnitude));
  const rest = o.run('f32x4.div', o.float(2), o.run('f32x4.add', power, o.float(1)));
  const far = withSign(o, o.run('f32x4.sub', o.float(1), rest), x);
  return o.choose(o.run('f32x4.lt', magnitude, o.float(0.625)), near, far);
};

/** `magnitude`, with the sign of x. */
function withSign(o: Formulas, magnitude: Value, x: Value): Value {
  return o.run('v128.or', magnitude, o.run('v128.and', x, o.word(0x80000000)));
}

/**
 * sin and cos to about 1e-7 for angles up to some ten million: the angle less the nearest multiple of π/2 in
 * three parts of 11 bits (Cody and Waite, 1980), then Taylor's series. The number of quarter turns is taken
 * in two parts of 12 bits, so that the products are exact. Beyond, the result is at least one of a sine.
 */
const turned =
  (ahead: number) =>
  (o: Formulas, x: Value): Value => {
    const { run, float } = o;
    const turns = run('f32x4.nearest', run('f32x4.mul', x, float(0.63661977236758)));
    const high = run(
      'f32x4.mul',
      run('f32x4.nearest', run('f32x4.mul', turns, float(2 ** -12))),
      float(4096),
    );
    const low = run('f32x4.sub', turns, high);
    const less = (from: Value, by: number) =>
      run(
        'f32x4.sub',
        run('f32x4.sub', from, run('f32x4.mul', high, float(by))),
        run('f32x4.mul', low, float(by)),
      );
    const some = less(less(x, 1.5703125), 0.0004837512969970703);
    const rest = run('f32x4.sub', some, run('f32x4.mul', turns, float(7.549790126404332e-8)));
    // Of many turns not all are seen in one product: what is left may be half a turn more.
    const inside = o.clamp(rest, -1.6, 1.6);
    const left = run('f32x4.nearest', run('f32x4.mul', inside, float(0.63661977236758)));
    const r = run(
      'f32x4.sub',
      run('f32x4.sub', inside, run('f32x4.mul', left, float(1.5703125))),
      run('f32x4.mul', left, float(0.0004838267948966)),
    );
    const s = run('f32x4.mul', r, r);
    const sines = o.polynomial(s, [2.75573e-6, -1.984127e-4, 8.33333333e-3, -1.6666666666e-1]);
    const sine = run('f32x4.add', r, run('f32x4.mul', run('f32x4.mul', r, s), sines));
    const cosine = o.polynomial(s, [-2.7557e-7, 2.480159e-5, -1.38888889e-3, 4.166666666e-2, -0.5, 1]);
    const whole = run(
      'i32x4.add',
      run('i32x4.trunc_sat_f32x4_s', turns),
      run('i32x4.trunc_sat_f32x4_s', left),
    );
    const quarter = run('i32x4.add', whole, o.word(ahead));
    const isOdd = run('i32x4.eq', run('v128.and', quarter, o.word(1)), o.word(1));
    const sign = o.shift('i32x4.shl', run('v128.and', quarter, o.word(2)), 30);
    return run('v128.xor', o.choose(isOdd, cosine, sine), sign);
  };

/**
 * erf to about 1e-7: Taylor's series up to 1; beyond, 1 − t·exp(−x² + P(t)) with t = 1 / (1 + x/2) (Numerical
 * Recipes, 3rd edition, §6.2.2, `erfcc`; relative error below 1.2e-7).
 */
const erf = (o: Formulas, x: Value): Value => {
  const { run, float } = o;
  const a = run('f32x4.min', run('f32x4.abs', x), float(10));
  const s = run('f32x4.mul', a, a);
  const near = run(
    'f32x4.mul',
    x,
    o.polynomial(
      s,
      [
        -1.6366e-7, 1.6462e-6, -1.49256e-5, 1.2055333e-4, -8.548327e-4, 5.2239776e-3, -2.68661706e-2,
        1.128379167e-1, -3.76126389e-1, 1.1283791671,
      ],
    ),
  );
  const t = run('f32x4.div', float(1), run('f32x4.add', float(1), run('f32x4.mul', float(0.5), a)));
  const series = o.polynomial(
    t,
    [
      0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196,
      1.00002368, -1.26551223,
    ],
  );
  const power = run('f32x4.mul', t, exp(o, run('f32x4.sub', series, s)));
  const far = withSign(o, run('f32x4.sub', float(1), power), x);
  return o.choose(run('f32x4.lt', a, float(1)), near, far);
};

/** By the logarithm; a negative base has a real power where the exponent is an integer. */
const pow = (o: Formulas, x: Value, y: Value): Value => {
  const { run, float } = o;
  const magnitude = exp(o, run('f32x4.mul', y, log(o, run('f32x4.abs', x))));
  const isWhole = run('f32x4.eq', y, run('f32x4.floor', y));
  const half = run('f32x4.mul', y, float(0.5));
  const isOdd = run(
    'v128.and',
    run('f32x4.ne', half, run('f32x4.floor', half)),
    run('v128.and', isWhole, run('f32x4.lt', run('f32x4.abs', y), float(2 ** 24))),
  );
  const isNegative = run('f32x4.lt', x, float(0));
  const sign = run('v128.and', run('v128.and', isOdd, isNegative), o.word(0x80000000));
  const signed = run('v128.xor', magnitude, sign);
  const real = o.choose(run('v128.andnot', isNegative, isWhole), float(Number.NaN), signed);
  const sum = run('f32x4.add', x, y);
  return o.choose(run('f32x4.eq', y, float(0)), float(1), o.choose(o.isNaN(sum), sum, real));
};

/** NaN of NaN. */
const sign = (o: Formulas, x: Value): Value =>
  o.choose(
    o.run('f32x4.ne', o.run('f32x4.abs', x), o.float(0)),
    o.choose(o.isNaN(x), x, withSign(o, o.float(1), x)),
    x,
  );

/** Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11). */
const threefry =
  (word: 0 | 1) =>
  (o: Formulas, ...[key0, key1, counter0, counter1]: Operands): Value => {
    const { run } = o;
    const parity = run('v128.xor', run('v128.xor', key0, key1), o.word(0x1bd11bda));
    const key = [key0, key1, parity] as const;
    const rotations = [13, 15, 26, 6, 17, 29, 16, 24];
    let x = run('i32x4.add', counter0, key0);
    let y = run('i32x4.add', counter1, key1);
    for (let round = 0; round < 20; round++) {
      const by = rotations[round % 8]!;
      x = run('i32x4.add', x, y);
      const left = o.shift('i32x4.shl', y, by);
      y = run('v128.xor', run('v128.or', left, o.shift('i32x4.shr_u', y, 32 - by)), x);
      if (round % 4 !== 3) continue;
      const turn = Math.floor(round / 4) + 1;
      x = run('i32x4.add', x, key[turn % 3]!);
      y = run('i32x4.add', run('i32x4.add', y, key[(turn + 1) % 3]!), o.word(turn));
    }
    return word === 0 ? x : y;
  };

// ── narrow types ───────────────────────────────────────────────────────────────────────────────────────────

/** Rounded to the nearest bf16, ties to even. */
const bf16Bits = (o: Formulas, x: Value): Value => {
  const { run } = o;
  const odd = run('v128.and', o.shift('i32x4.shr_u', x, 16), o.word(1));
  const rounded = run('i32x4.add', run('i32x4.add', x, o.word(0x7fff)), odd);
  return o.choose(o.isNaN(x), o.word(0x7fc0), o.shift('i32x4.shr_u', rounded, 16));
};

interface Narrow {
  readonly mantissa: number;
  /** Of the exponent. */
  readonly bias: number;
  readonly signBit: number;
  /** Bits of f32 from which the magnitude is beyond the finite: what it then is. */
  readonly overflow: { readonly from: number; readonly bits: number };
  readonly nan: number;
}

const f16: Narrow = {
  mantissa: 10,
  bias: 15,
  signBit: 0x8000,
  overflow: { from: 0x477ff000, bits: 0x7c00 },
  nan: 0x7e00,
};
/** It has no infinity: what rounds beyond 448 is NaN. */
const f8e4m3: Narrow = {
  mantissa: 3,
  bias: 7,
  signBit: 0x80,
  overflow: { from: 0x43e80001, bits: 0x7f },
  nan: 0x7f,
};
const f8e5m2: Narrow = {
  mantissa: 2,
  bias: 15,
  signBit: 0x80,
  overflow: { from: 0x47700000, bits: 0x7c },
  nan: 0x7e,
};

/**
 * To the nearest, ties to even: of what is normal in integers, below by adding what has its last bit there.
 */
const bitsOf =
  ({ mantissa, bias, signBit, overflow, nan }: Narrow) =>
  (o: Formulas, x: Value): Value => {
    const { run } = o;
    const drop = 23 - mantissa;
    const magnitude = run('v128.and', x, o.word(0x7fffffff));
    const odd = run('v128.and', o.shift('i32x4.shr_u', magnitude, drop), o.word(1));
    const rebased = run('i32x4.sub', magnitude, o.word(((127 - bias) << 23) - (2 ** (drop - 1) - 1)));
    const normal = o.shift('i32x4.shr_u', run('i32x4.add', rebased, odd), drop);
    const last = 2 ** (1 - bias - mantissa + 23);
    const small = run('i32x4.sub', run('f32x4.add', magnitude, o.float(last)), o.float(last));
    const isSmall = run('i32x4.lt_s', magnitude, o.word((128 - bias) << 23));
    const finite = o.choose(isSmall, small, normal);
    const isBeyond = run('i32x4.lt_s', o.word(overflow.from - 1), magnitude);
    const extended = o.choose(isBeyond, o.word(overflow.bits), finite);
    const whole = o.choose(o.isNaN(x), o.word(nan), extended);
    const signShift = 31 - Math.log2(signBit);
    return run('v128.or', whole, run('v128.and', o.shift('i32x4.shr_u', x, signShift), o.word(signBit)));
  };

/** @param special the bits from which it is no number: infinite, or NaN */
const numberOf =
  ({ mantissa, bias, signBit }: Narrow, special: number, hasInfinity: boolean) =>
  (o: Formulas, bits: Value): Value => {
    const { run } = o;
    const drop = 23 - mantissa;
    const magnitude = run('v128.and', bits, o.word(signBit - 1));
    const shifted = o.shift('i32x4.shl', magnitude, drop);
    const normal = run('i32x4.add', shifted, o.word((127 - bias) << 23));
    const small = run(
      'f32x4.mul',
      run('f32x4.convert_i32x4_s', magnitude),
      o.float(2 ** (1 - bias - mantissa)),
    );
    const finite = o.choose(run('i32x4.lt_s', magnitude, o.word(2 ** mantissa)), small, normal);
    const beyond = hasInfinity ? run('v128.or', shifted, o.word(0x7f800000)) : o.float(Number.NaN);
    const value = o.choose(run('i32x4.lt_s', magnitude, o.word(special)), finite, beyond);
    const signShift = 31 - Math.log2(signBit);
    return run('v128.or', value, o.shift('i32x4.shl', run('v128.and', bits, o.word(signBit)), signShift));
  };

const table = {
  exp: helper(1, exp),
  log: helper(1, log),
  tanh: helper(1, tanh),
  sin: helper(1, turned(0)),
  cos: helper(1, turned(1)),
  erf: helper(1, erf),
  pow: helper(2, pow),
  sign: helper(1, sign),
  threefry0: helper(4, threefry(0)),
  threefry1: helper(4, threefry(1)),
  bf16_bits: helper(1, bf16Bits),
  f16_bits: helper(1, bitsOf(f16)),
  f16_value: helper(1, numberOf(f16, 0x7c00, true)),
  f8e4m3_bits: helper(1, bitsOf(f8e4m3)),
  f8e4m3_value: helper(1, numberOf(f8e4m3, 0x7f, false)),
  f8e5m2_bits: helper(1, bitsOf(f8e5m2)),
  f8e5m2_value: helper(1, numberOf(f8e5m2, 0x7c, true)),
} as const satisfies Record<string, Helper>;

export type HelperName = keyof typeof table;
export const helperNames = Object.keys(table) as HelperName[];

export function helperArity(name: HelperName): number {
  return table[name].arity;
}

/** Those that are short and often called: a call keeps nothing in registers. */
const inlined: ReadonlySet<HelperName> = new Set(['exp', 'f16_value', 'f8e4m3_value', 'f8e5m2_value']);

export function isInlined(name: HelperName): boolean {
  return inlined.has(name);
}

/**
 * A helper's result for vectors, written where it is used.
 * @param relaxed whether relaxed SIMD may be used
 */
export function helperValue(
  name: HelperName,
  writer: Writer,
  operands: readonly Value[],
  relaxed: boolean,
): Value {
  const [first] = operands;
  const four = [0, 1, 2, 3].map((at) => operands[at] ?? first!) as unknown as Operands;
  return (table[name] as Helper).write(formulasOf(writer, relaxed), ...four);
}

/** A helper as a function of vectors. @param relaxed whether relaxed SIMD may be used */
export function helperFunction(name: HelperName, relaxed: boolean): FunctionCode {
  const parameters = Array.from({ length: helperArity(name) }, () => 'v128' as const);
  const writer = new Writer(parameters);
  const operands = parameters.map((_, at) => writer.parameter(at, 'f32'));
  const { locals, body, result } = writer.render(helperValue(name, writer, operands, relaxed));
  return { name, parameters, result, locals, body, exported: false };
}
