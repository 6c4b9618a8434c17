/**
 * Functions in WGSL that emitted kernels call; a kernel carries those that it uses. Those that exist for
 * scalars and vectors are written once, over the types `F` (floats), `I`, `U` and `B`.
 *
 * WGSL lets a driver assume that no float is NaN or infinite, so that a choice between NaN and something else
 * may become the latter (NVIDIA's does so where NaN is a constant). Whatever NaN is chosen here is chosen
 * between words, by what the words of operands are.
 */
import type { Arithmetic } from '../../compiler/graph/graph.ts';
import { typeText } from './wgsl-text.ts';

const table = {
  /**
   * A call keeps compilers from evaluating the bits of infinities and NaN at compile time, which is an error.
   */
  float_of_bits: {
    text: 'fn float_of_bits(bits: u32) -> f32 { return bitcast<f32>(bits); }',
  },
  /** By its bits: compilers may take `x != x` for false. */
  is_nan: {
    text: 'fn is_nan(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }',
  },
  /** `select` of floats of which one may be NaN. */
  select_bits: {
    text: `fn select_bits(no: F, yes: F, choice: B) -> F {
  return bitcast<F>(select(bitcast<U>(no), bitcast<U>(yes), choice));
}`,
  },
  /** The builtins may give the other operand where one is NaN. */
  nan_max: {
    text: 'fn nan_max(a: F, b: F) -> F { return nan_of_two(max(a, b), a, b); }',
  },
  nan_min: {
    text: 'fn nan_min(a: F, b: F) -> F { return nan_of_two(min(a, b), a, b); }',
  },
  /** `value`, or NaN where `a` or `b` is. */
  nan_of_two: {
    text: `fn nan_of_two(value: F, a: F, b: F) -> F {
  let most = max(bitcast<I>(a) & I(0x7fffffff), bitcast<I>(b) & I(0x7fffffff));
  return bitcast<F>(select(bitcast<I>(value), I(0x7fc00000), most > I(0x7f800000)));
}`,
  },
  /**
   * The builtins of some drivers give infinities and zeros for NaN, and the logarithm of the least float for
   * zero.
   */
  nan_exp: {
    text: 'fn nan_exp(x: F) -> F { return select_bits(exp(x), x, is_nan(x)); }',
  },
  full_log: {
    text: `fn full_log(x: F) -> F {
  let bits = bitcast<U>(x);
  let beyond = select(U(0x7fc00000u), bits, bits == U(0x7f800000u));
  let ends = select(beyond, U(0xff800000u), (bits & U(0x7fffffffu)) == U(0u));
  return bitcast<F>(select(ends, bitcast<U>(log(x)), bits - U(1u) < U(0x7f7fffffu)));
}`,
  },
  nan_sign: {
    text: 'fn nan_sign(x: F) -> F { return select_bits(sign(x), x, is_nan(x)); }',
  },
  floor_div: {
    text: `fn floor_div(a: I, b: I) -> I {
  let q = a / b;
  return select(q, q - I(1), ((a ^ b) < I(0)) & (q * b != a));
}`,
  },
  floor_mod: {
    text: `fn floor_mod(a: I, b: I) -> I {
  let r = a % b;
  return select(r, r + b, ((r ^ b) < I(0)) & (r != I(0)));
}`,
  },
  /** Beyond 10, tanh is 1 in f32, and a builtin by exponentials may overflow. */
  safe_tanh: {
    text: 'fn safe_tanh(x: F) -> F { return select_bits(tanh(clamp(x, F(-10.0), F(10.0))), x, is_nan(x)); }',
  },
  /**
   * sin and cos to about 1e-7 for angles up to some ten million, where the builtins promise 2^-11 within ±π
   * only: the angle less the nearest multiple of π/2 in three parts of 11 bits (Cody and Waite, 1980), then
   * Taylor's series. The number of quarter turns is taken in two parts of 12 bits, so that the products are
   * exact. It may be one off for angles of millions, and so the series reach to ±π/2. Beyond, where
   * neighbours in f32 are radians apart, the result is at least one of a sine.
   */
  exact_sin: {
    text: `fn exact_sin(x: F) -> F { return quarter_turns(x, I(0)); }`,
  },
  exact_cos: {
    text: `fn exact_cos(x: F) -> F { return quarter_turns(x, I(1)); }`,
  },
  quarter_turns: {
    text: `fn quarter_turns(x: F, ahead: I) -> F {
  let turns = round(x * 0.63661977236758);
  let high = round(turns * 0.000244140625) * 4096.0;
  let low = turns - high;
  let most = (x - high * 1.5703125) - low * 1.5703125;
  let some = (most - high * 0.0004837512969970703) - low * 0.0004837512969970703;
  let rest = some - turns * 0.00000007549790126404332;
  let r = select_bits(clamp(rest, F(-1.6), F(1.6)), rest, is_nan(rest));
  let s = r * r;
  let sine = r + r * s * (-0.16666666666 + s * (0.00833333333 + s * (-0.00019841270
    + s * (0.00000275573 + s * -0.000000025052))));
  let cosine = 1.0 + s * (-0.5 + s * (0.04166666666 + s * (-0.00138888889
    + s * (0.00002480159 + s * (-0.00000027557 + s * 0.0000000020877)))));
  let quarter = I(turns) + ahead;
  let value = select(sine, cosine, (quarter & I(1)) != I(0));
  return select(value, -value, (quarter & I(2)) != I(0));
}`,
  },
  /**
   * erf to about 1e-7: Taylor's series up to 1; beyond, 1 − t·exp(−x² + P(t)) with t = 1 / (1 + x/2)
   * (Numerical Recipes, 3rd edition, §6.2.2, `erfcc`; relative error below 1.2e-7).
   */
  erf: {
    text: `fn erf(x: F) -> F {
  let a = min(abs(x), F(10.0));
  let s = a * a;
  let near = x * (1.1283791671 + s * (-0.3761263890 + s * (0.1128379167 + s * (-0.0268661706
    + s * (0.0052239776 + s * (-0.0008548327 + s * (0.00012055333 + s * (-0.0000149256
    + s * (0.0000016462 + s * -0.00000016366)))))))));
  let t = 1.0 / (1.0 + 0.5 * a);
  let p = -s - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  return select_bits(select(sign(x) * (1.0 - t * exp(p)), near, a < F(1.0)), x, is_nan(x));
}`,
  },
  /** WGSL's `pow` is for positive bases: a negative one has a real power where the exponent is an integer. */
  real_pow: {
    text: `fn real_pow(x: F, y: F) -> F {
  let magnitude = pow(abs(x), y);
  let whole = y == floor(y);
  let odd = whole & (abs(y) < F(16777216.0)) & (floor(y * 0.5) * 2.0 != y);
  let signed = select(magnitude, -magnitude, odd & (x < F(0.0)));
  let real = select(bitcast<U>(signed), U(0x7fc00000u), (x < F(0.0)) & !whole);
  let known = select(real, U(0x7fc00000u), is_nan(x) | is_nan(y));
  return bitcast<F>(select(known, U(0x3f800000u), (bitcast<U>(y) & U(0x7fffffffu)) == U(0u)));
}`,
  },
  /** Float to integer: towards zero, saturating, NaN to 0. */
  to_i32: {
    text: `fn to_i32(x: F) -> I {
  let inside = clamp(x, F(-2147483648.0), F(2147483520.0));
  let top = select(I(inside), I(2147483647), x >= F(2147483648.0));
  return select(top, I(0), is_nan(x));
}`,
  },
  to_u32: {
    text: `fn to_u32(x: F) -> U {
  let inside = clamp(x, F(0.0), F(4294967040.0));
  let top = select(U(inside), U(4294967295u), x >= F(4294967296.0));
  return select(top, U(0u), is_nan(x));
}`,
  },
  /** Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11). */
  threefry: {
    text: `fn threefry(key0: u32, key1: u32, counter0: u32, counter1: u32) -> vec2u {
  var key = array<u32, 3>(key0, key1, key0 ^ key1 ^ 0x1bd11bdau);
  var rotations = array<u32, 8>(13u, 15u, 26u, 6u, 17u, 29u, 16u, 24u);
  var x = vec2u(counter0 + key0, counter1 + key1);
  for (var round = 0u; round < 20u; round++) {
    let by = rotations[round % 8u];
    x.x += x.y;
    x.y = ((x.y << by) | (x.y >> (32u - by))) ^ x.x;
    if (round % 4u == 3u) {
      let turn = round / 4u + 1u;
      x += vec2u(key[turn % 3u], key[(turn + 1u) % 3u] + turn);
    }
  }
  return x;
}`,
  },
  /**
   * Rounded to the nearest bf16, ties to even, which is the upper half of the word. The conversions of bf16
   * shift nothing: SwiftShader shifts the lanes of a vector one by one, at the price of ten other operations.
   */
  bf16_upper: {
    text: `fn bf16_upper(x: F) -> U {
  let bits = bitcast<U>(x);
  let half = select(U(0x7fffu), U(0x8000u), (bits & U(0x10000u)) != U(0u));
  let nan = bitcast<I>(bits & U(0x7fffffffu)) > I(0x7f800000);
  return select((bits + half) & U(0xffff0000u), U(0x7fc00000u), nan);
}`,
  },
  /** The upper half as a signed integer is exact in f32, and so are its 2^-16th and that plus 3 · 2^22. */
  bf16_bits: {
    text: `fn bf16_bits(x: F) -> U {
  let upper = F(bitcast<I>(bf16_upper(x)));
  return bitcast<U>(upper * 0.0000152587890625 + 12582912.0) & U(0xffffu);
}`,
  },
  /** Of the lower half of a word. */
  bf16_value: {
    text: 'fn bf16_value(bits: U) -> F { return bitcast<F>(bits * U(65536u)); }',
  },
  /** To nearest even, in integers: `pack2x16float` may round otherwise and is undefined beyond the range. */
  f16_bits: {
    text: `fn f16_bits(x: F) -> U {
  let bits = bitcast<U>(x);
  let sign = (bits >> U(16u)) & U(0x8000u);
  let magnitude = bits & U(0x7fffffffu);
  let normal = (magnitude - U(0x38000000u) + U(0xfffu) + ((magnitude >> U(13u)) & U(1u))) >> U(13u);
  let small = bitcast<U>(bitcast<F>(magnitude) + F(0.5)) - U(0x3f000000u);
  var result = select(normal, small, magnitude < U(0x38800000u));
  result = select(result, U(0x7c00u), magnitude >= U(0x477ff000u));
  result = select(result, U(0x7e00u), magnitude > U(0x7f800000u));
  return sign | result;
}`,
  },
  f16_value: {
    text: `fn f16_value(bits: U) -> F {
  let magnitude = bits & U(0x7fffu);
  let normal = (magnitude << U(13u)) + U(0x38000000u);
  let small = bitcast<U>(F(magnitude) * 0.000000059604644775390625);
  let special = (magnitude << U(13u)) | U(0x7f800000u);
  var value = select(normal, small, magnitude < U(0x400u));
  value = select(value, special, magnitude >= U(0x7c00u));
  return bitcast<F>(value | ((bits & U(0x8000u)) << U(16u)));
}`,
  },
  /** e4m3 has no infinity: what rounds beyond 448 is NaN. */
  f8e4m3_bits: {
    text: `fn f8e4m3_bits(x: F) -> U {
  let bits = bitcast<U>(x);
  let sign = (bits >> U(24u)) & U(0x80u);
  let magnitude = bits & U(0x7fffffffu);
  let normal = (magnitude - U(0x3c000000u) + U(0x7ffffu) + ((magnitude >> U(20u)) & U(1u))) >> U(20u);
  let small = bitcast<U>(bitcast<F>(magnitude) + F(16384.0)) - U(0x46800000u);
  let result = select(normal, small, magnitude < U(0x3c800000u));
  return sign | select(result, U(0x7fu), magnitude > U(0x43e80000u));
}`,
  },
  f8e4m3_value: {
    text: `fn f8e4m3_value(bits: U) -> F {
  let magnitude = bits & U(0x7fu);
  let normal = (magnitude << U(20u)) + U(0x3c000000u);
  let small = bitcast<U>(F(magnitude) * 0.001953125);
  var value = select(normal, small, magnitude < U(8u));
  value = select(value, U(0x7fc00000u), magnitude == U(0x7fu));
  return bitcast<F>(value | ((bits & U(0x80u)) << U(24u)));
}`,
  },
  f8e5m2_bits: {
    text: `fn f8e5m2_bits(x: F) -> U {
  let bits = bitcast<U>(x);
  let sign = (bits >> U(24u)) & U(0x80u);
  let magnitude = bits & U(0x7fffffffu);
  let normal = (magnitude - U(0x38000000u) + U(0xfffffu) + ((magnitude >> U(21u)) & U(1u))) >> U(21u);
  let small = bitcast<U>(bitcast<F>(magnitude) + F(128.0)) - U(0x43000000u);
  var result = select(normal, small, magnitude < U(0x38800000u));
  result = select(result, U(0x7cu), magnitude >= U(0x47700000u));
  result = select(result, U(0x7eu), magnitude > U(0x7f800000u));
  return sign | result;
}`,
  },
  f8e5m2_value: {
    text: 'fn f8e5m2_value(bits: U) -> F { return f16_value(bits << U(8u)); }',
  },
} as const satisfies Record<string, { readonly text: string }>;

export type HelperName = keyof typeof table;

/** A helper in the width asked for. */
export interface HelperUse {
  readonly name: HelperName;
  readonly width: 1 | 4;
}

export function helperCall({ name, width }: HelperUse): string {
  return width === 1 ? name : `${name}_4`;
}

/** Which helpers a helper calls, for those that call any: in its own width. */
const calls: { readonly [N in HelperName]?: readonly HelperName[] } = {
  safe_tanh: ['is_nan', 'select_bits'],
  erf: ['is_nan', 'select_bits'],
  to_i32: ['is_nan'],
  to_u32: ['is_nan'],
  real_pow: ['is_nan'],
  nan_max: ['nan_of_two'],
  nan_min: ['nan_of_two'],
  nan_exp: ['is_nan', 'select_bits'],
  nan_sign: ['is_nan', 'select_bits'],
  bf16_bits: ['bf16_upper'],
  f8e5m2_value: ['f16_value'],
  exact_sin: ['quarter_turns'],
  exact_cos: ['quarter_turns'],
  quarter_turns: ['is_nan', 'select_bits'],
};

const typeNames: readonly (readonly [RegExp, Arithmetic])[] = [
  [/\bF\b/g, 'f32'],
  [/\bI\b/g, 'i32'],
  [/\bU\b/g, 'u32'],
  [/\bB\b/g, 'bool'],
];

/** The text of all helpers used, and of those that they use, each once. */
export function helperTexts(uses: Iterable<HelperUse>): string[] {
  const texts = new Map<string, string>();
  const add = (use: HelperUse): void => {
    const called = helperCall(use);
    if (texts.has(called)) return;
    const inner = calls[use.name] ?? [];
    for (const name of inner) add({ name, width: use.width });
    texts.set(called, instance(use, inner));
  };
  for (const use of uses) add(use);
  return [...texts.values()];
}

function instance({ name, width }: HelperUse, inner: readonly HelperName[]): string {
  const renamed = [name, ...inner].reduce(
    (text, called) =>
      text.replaceAll(new RegExp(`\\b${called}\\(`, 'g'), `${helperCall({ name: called, width })}(`),
    table[name].text as string,
  );
  return typeNames.reduce((text, [pattern, dtype]) => text.replace(pattern, typeText(dtype, width)), renamed);
}
