/** Rounding a number exactly, once, to what a dtype can hold. */
import { type Dtype, type FloatDtype, greatestFinite } from '../../dsl/types/dtype.ts';

interface FloatFormat {
  /** Explicit mantissa bits. */
  readonly mantissa: number;
  /** Exponent of the smallest normal number; below it numbers are evenly spaced. */
  readonly leastExponent: number;
  readonly greatest: number;
  /** What numbers that round beyond `greatest` become, sign apart. */
  readonly overflow: number;
}

const bf16: FloatFormat = {
  mantissa: 7,
  leastExponent: -126,
  greatest: greatestFinite.bf16,
  overflow: Number.POSITIVE_INFINITY,
};
const f16: FloatFormat = {
  mantissa: 10,
  leastExponent: -14,
  greatest: greatestFinite.f16,
  overflow: Number.POSITIVE_INFINITY,
};
/** OCP 8-bit floating point, 2023: E4M3 has no infinities, and overflow is NaN. */
const f8e4m3: FloatFormat = {
  mantissa: 3,
  leastExponent: -6,
  greatest: greatestFinite.f8e4m3,
  overflow: Number.NaN,
};
const f8e5m2: FloatFormat = {
  mantissa: 2,
  leastExponent: -14,
  greatest: greatestFinite.f8e5m2,
  overflow: Number.POSITIVE_INFINITY,
};

const f32: FloatFormat = {
  mantissa: 23,
  leastExponent: -126,
  greatest: greatestFinite.f32,
  overflow: Number.POSITIVE_INFINITY,
};

const formats: { readonly [D in FloatDtype]: FloatFormat } = { f32, bf16, f16, f8e4m3, f8e5m2 };

/** How far numbers of the dtype are apart at a magnitude that is finite in it; infinite beyond. */
export function spacing(dtype: FloatDtype, magnitude: number): number {
  const { mantissa, leastExponent, greatest } = formats[dtype];
  if (!(magnitude <= greatest)) return Number.POSITIVE_INFINITY;
  return 2 ** (Math.max(exponentOf(magnitude), leastExponent) - mantissa);
}

const bits = new DataView(new ArrayBuffer(8));

/** Exponent of the leading bit of a positive double; −1023 for subnormal ones. */
function exponentOf(magnitude: number): number {
  bits.setFloat64(0, magnitude);
  return (bits.getUint32(0) >>> 20) - 1023;
}

function powerOfTwo(exponent: number): number {
  bits.setUint32(0, (exponent + 1023) << 20);
  bits.setUint32(4, 0);
  return bits.getFloat64(0);
}

/** Adding and taking it away leaves a smaller nonnegative number rounded to an integer, ties to even. */
const integersOnly = 2 ** 52;

function roundToFormat(value: number, format: FloatFormat): number {
  if (value === 0 || Number.isNaN(value)) return value;
  const magnitude = Math.abs(value);
  let rounded = format.overflow;
  if (magnitude <= 2 * format.greatest) {
    const unit = powerOfTwo(Math.max(exponentOf(magnitude), format.leastExponent) - format.mantissa);
    const exact = (magnitude / unit + integersOnly - integersOnly) * unit;
    if (exact <= format.greatest) rounded = exact;
  }
  return value < 0 ? -rounded : rounded;
}

/** Integers wrap modulo their width, as storing their low bits does. */
const roundings: { readonly [D in Dtype]: (value: number) => number } = {
  f32: Math.fround,
  bf16: (value) => roundToFormat(value, bf16),
  f16: (value) => roundToFormat(value, f16),
  f8e4m3: (value) => roundToFormat(value, f8e4m3),
  f8e5m2: (value) => roundToFormat(value, f8e5m2),
  i32: (value) => value | 0,
  u32: (value) => value >>> 0,
  i8: (value) => (value << 24) >> 24,
  u8: (value) => value & 0xff,
  bool: (value) => (value === 0 ? 0 : 1),
};

/**
 * Floats to the nearest, ties to even; overflow is infinite (NaN for f8e4m3). Integers keep their low bits.
 */
export function roundTo(dtype: Dtype, value: number): number {
  return roundings[dtype](value);
}
