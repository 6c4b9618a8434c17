/** Floats of fewer bits than 32, from and to the low bits of words. */
import type { Operations } from './operations.ts';

/** Rounded to the nearest bf16, ties to even. */
export function bf16Bits<V, T>(o: Operations<V, T>, x: V): V {
  const odd = o.and(o.shiftRight(x, 16), o.word(1));
  const rounded = o.addWords(o.addWords(x, o.word(0x7fff)), odd);
  return o.choose(o.isNaN(x), o.word(0x7fc0), o.shiftRight(rounded, 16));
}

export interface NarrowFloat {
  readonly mantissa: number;
  /** Of the exponent. */
  readonly bias: number;
  readonly signBit: number;
  /** Bits of f32 from which the magnitude is beyond the finite: what it then is. */
  readonly overflow: { readonly from: number; readonly bits: number };
  readonly nan: number;
  /** Bits from which it is no number. */
  readonly special: number;
  readonly hasInfinity: boolean;
}

export const f16: NarrowFloat = {
  ...{ mantissa: 10, bias: 15, signBit: 0x8000, nan: 0x7e00, special: 0x7c00, hasInfinity: true },
  overflow: { from: 0x477ff000, bits: 0x7c00 },
};
/** It has no infinity: what rounds beyond 448 is NaN. */
export const f8e4m3: NarrowFloat = {
  ...{ mantissa: 3, bias: 7, signBit: 0x80, nan: 0x7f, special: 0x7f, hasInfinity: false },
  overflow: { from: 0x43e80001, bits: 0x7f },
};
export const f8e5m2: NarrowFloat = {
  ...{ mantissa: 2, bias: 15, signBit: 0x80, nan: 0x7e, special: 0x7c, hasInfinity: true },
  overflow: { from: 0x47700000, bits: 0x7c },
};

/**
 * To the nearest, ties to even: of what is normal in integers, below by adding what has its last bit there.
 */
export function bitsOfNarrow<V, T>(
  o: Operations<V, T>,
  { mantissa, bias, signBit, overflow, nan }: NarrowFloat,
  x: V,
): V {
  const drop = 23 - mantissa;
  const magnitude = o.and(x, o.word(0x7fffffff));
  const odd = o.and(o.shiftRight(magnitude, drop), o.word(1));
  const rebased = o.subWords(magnitude, o.word(((127 - bias) << 23) - (2 ** (drop - 1) - 1)));
  const normal = o.shiftRight(o.addWords(rebased, odd), drop);
  const last = o.float(2 ** (1 - bias - mantissa + 23));
  const small = o.subWords(o.add(magnitude, last), last);
  const isSmall = o.lessWords(magnitude, o.word((128 - bias) << 23));
  const finite = o.choose(isSmall, small, normal);
  const isBeyond = o.lessWords(o.word(overflow.from - 1), magnitude);
  const extended = o.choose(isBeyond, o.word(overflow.bits), finite);
  const whole = o.choose(o.isNaN(x), o.word(nan), extended);
  const sign = o.and(o.shiftRight(x, 31 - Math.log2(signBit)), o.word(signBit));
  return o.or(whole, sign);
}

export function valueOfNarrow<V, T>(
  o: Operations<V, T>,
  { mantissa, bias, signBit, special, hasInfinity }: NarrowFloat,
  bits: V,
): V {
  const drop = 23 - mantissa;
  const magnitude = o.and(bits, o.word(signBit - 1));
  const shifted = o.shiftLeft(magnitude, drop);
  const normal = o.addWords(shifted, o.word((127 - bias) << 23));
  const small = o.mul(o.floatOf(magnitude), o.float(2 ** (1 - bias - mantissa)));
  const finite = o.choose(o.lessWords(magnitude, o.word(2 ** mantissa)), small, normal);
  const beyond = hasInfinity ? o.or(shifted, o.word(0x7f800000)) : o.float(Number.NaN);
  const value = o.choose(o.lessWords(magnitude, o.word(special)), finite, beyond);
  const sign = o.shiftLeft(o.and(bits, o.word(signBit)), 31 - Math.log2(signBit));
  return o.or(value, sign);
}
