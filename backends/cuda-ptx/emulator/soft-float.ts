/**
 * Numbers of any format from exact values, rounded as PTX says: what WebAssembly has no instruction for. An
 * exact value is a whole number times a power of two.
 */

export type FloatFormat = 'f64' | 'f32' | 'tf32' | 'f16' | 'bf16' | 'e4m3' | 'e5m2';
/** To the nearest even, toward zero, down, up, and to the nearest with ties away from zero. */
export type Rounding = 'rn' | 'rz' | 'rm' | 'rp' | 'rna';

interface FormatFacts {
  readonly bits: number;
  /** With the leading one. */
  readonly precision: number;
  readonly leastExponent: number;
  /** Of the largest finite number. */
  readonly mostExponent: number;
}

const formats: { readonly [F in FloatFormat]: FormatFacts } = {
  f64: { bits: 64, precision: 53, leastExponent: -1022, mostExponent: 1023 },
  f32: { bits: 32, precision: 24, leastExponent: -126, mostExponent: 127 },
  tf32: { bits: 32, precision: 11, leastExponent: -126, mostExponent: 127 },
  f16: { bits: 16, precision: 11, leastExponent: -14, mostExponent: 15 },
  bf16: { bits: 16, precision: 8, leastExponent: -126, mostExponent: 127 },
  e4m3: { bits: 8, precision: 4, leastExponent: -6, mostExponent: 8 },
  e5m2: { bits: 8, precision: 3, leastExponent: -14, mostExponent: 15 },
};

/** `mantissa · 2^exponent`; the sign of a zero, and of nothing else, is kept beside. */
export interface Exact {
  readonly mantissa: bigint;
  readonly exponent: number;
  readonly negativeZero: boolean;
}

const view = new DataView(new ArrayBuffer(8));

/** @param value finite. */
export function exactOf(value: number): Exact {
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const field = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const magnitude = field === 0 ? fraction : fraction | (1n << 52n);
  return {
    mantissa: value < 0 ? -magnitude : magnitude,
    exponent: Math.max(field, 1) - 1075,
    negativeZero: Object.is(value, -0),
  };
}

export function exactProduct(left: Exact, right: Exact): Exact {
  return {
    mantissa: left.mantissa * right.mantissa,
    exponent: left.exponent + right.exponent,
    negativeZero: isNegative(left) !== isNegative(right),
  };
}

function isNegative({ mantissa, negativeZero }: Exact): boolean {
  return mantissa < 0n || (mantissa === 0n && negativeZero);
}

/** A sum that is zero is −0 where both are, or where rounding is down and they are not both +0. */
export function exactSum(left: Exact, right: Exact, rounding: Rounding): Exact {
  const exponent = Math.min(left.exponent, right.exponent);
  const scaled = ({ mantissa, exponent: own }: Exact): bigint => mantissa << BigInt(own - exponent);
  const mantissa = scaled(left) + scaled(right);
  const areZero = left.mantissa === 0n && right.mantissa === 0n;
  const negativeZero = areZero
    ? rounding === 'rm'
      ? left.negativeZero || right.negativeZero
      : left.negativeZero && right.negativeZero
    : rounding === 'rm';
  return { mantissa, exponent, negativeZero };
}

function bitLength(value: bigint): number {
  return value === 0n
    ? 0
    : value.toString(16).length * 4 - Math.clz32(Number.parseInt(value.toString(16)[0]!, 16)) + 28;
}

/** The bits of the number nearest to the value, in the way asked for. */
export function roundExact(
  value: Exact,
  format: FloatFormat,
  rounding: Rounding,
  saturates: boolean = false,
): bigint {
  const { precision, leastExponent, mostExponent } = formats[format];
  const negative = isNegative(value);
  const magnitude = value.mantissa < 0n ? -value.mantissa : value.mantissa;
  if (magnitude === 0n) return encode(format, negative, 0n, leastExponent);
  const top = bitLength(magnitude) - 1 + value.exponent;
  // The exponent of the last bit that is kept.
  const last = Math.max(top, leastExponent) - (precision - 1);
  const drop = last - value.exponent;
  let kept = drop > 0 ? magnitude >> BigInt(drop) : magnitude << BigInt(-drop);
  if (drop > 0) {
    const rest = magnitude - (kept << BigInt(drop));
    const half = 1n << BigInt(drop - 1);
    const up: { readonly [R in Rounding]: boolean } = {
      rn: rest > half || (rest === half && (kept & 1n) === 1n),
      rna: rest >= half,
      rz: false,
      rm: negative && rest > 0n,
      rp: !negative && rest > 0n,
    };
    if (up[rounding]) kept++;
  }
  // A carry out of the top is the next power of two.
  const exponent = Math.max(bitLength(kept) - 1 + last, leastExponent);
  if (exponent > last + precision - 1) kept >>= 1n;
  const isOver = exponent > mostExponent || (format === 'e4m3' && exponent === 8 && kept === 15n);
  if (!isOver) return encode(format, negative, kept, exponent);
  const toLargest =
    saturates || rounding === 'rz' || (rounding === 'rm' && !negative) || (rounding === 'rp' && negative);
  if (toLargest) return largest(format, negative);
  return infinityOf(format, negative);
}

function encode(format: FloatFormat, negative: boolean, kept: bigint, exponent: number): bigint {
  const { bits, precision, leastExponent } = formats[format];
  // tf32 is an f32 whose last bits are zero.
  const shift = format === 'tf32' ? 13n : 0n;
  const fractionBits = BigInt(precision - 1);
  const isNormal = kept >> fractionBits !== 0n;
  const field = isNormal ? BigInt(exponent - leastExponent + 1) : 0n;
  const fraction = kept & ((1n << fractionBits) - 1n);
  const sign = negative ? 1n << BigInt(bits - 1) : 0n;
  return sign | (((field << fractionBits) | fraction) << shift);
}

function largest(format: FloatFormat, negative: boolean): bigint {
  const { precision, mostExponent } = formats[format];
  const all = (1n << BigInt(precision)) - 1n;
  return encode(format, negative, format === 'e4m3' ? all - 1n : all, mostExponent);
}

/** e4m3 has none: NaN stands for it. */
function infinityOf(format: FloatFormat, negative: boolean): bigint {
  const { precision, mostExponent } = formats[format];
  if (format === 'e4m3') return negative ? 0xffn : 0x7fn;
  return encode(format, negative, 1n << BigInt(precision - 1), mostExponent + 1);
}

const canonicalNaN: { readonly [F in FloatFormat]: bigint } = {
  f64: 0x7ff8000000000000n,
  f32: 0x7fffffffn,
  tf32: 0x7fffffffn,
  f16: 0x7fffn,
  bf16: 0x7fffn,
  e4m3: 0x7fn,
  e5m2: 0x7fn,
};

export interface Narrowing {
  readonly format: FloatFormat;
  readonly rounding: Rounding;
  /** What is too large becomes the largest finite number, infinities too. */
  readonly saturates: boolean;
  /** What is negative becomes zero. */
  readonly relu: boolean;
}

/** The bits of a number in another format. */
export function narrow(value: number, { format, rounding, saturates, relu }: Narrowing): bigint {
  if (Number.isNaN(value)) return canonicalNaN[format];
  const used = relu && (value < 0 || Object.is(value, -0)) ? 0 : value;
  if (!Number.isFinite(used)) return saturates ? largest(format, used < 0) : infinityOf(format, used < 0);
  return roundExact(exactOf(used), format, rounding, saturates);
}

/** The number that bits of a format stand for. */
export function widen(bits: number, format: FloatFormat): number {
  const facts = formats[format];
  const fractionBits = facts.precision - 1 + (format === 'tf32' ? 13 : 0);
  const sign = (bits >>> (facts.bits - 1)) & 1 ? -1 : 1;
  const fraction = bits & (2 ** fractionBits - 1);
  const field = (bits & (2 ** (facts.bits - 1) - 1)) >>> fractionBits;
  const mostField = 2 ** (facts.bits - 1 - fractionBits) - 1;
  if (format === 'e4m3') {
    if (field === mostField && fraction === 7) return Number.NaN;
  } else if (field === mostField) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  const scale = 2 ** (Math.max(field, 1) + facts.leastExponent - 1 - fractionBits);
  return sign * ((field === 0 ? 0 : 2 ** fractionBits) + fraction) * scale;
}

export type ExactOperation = 'add' | 'sub' | 'mul' | 'fma' | 'div' | 'sqrt';

/** An operation on numbers of a format with one rounding, in any of the ways. */
export function operate(
  operation: ExactOperation,
  format: 'f32' | 'f64',
  rounding: Rounding,
  a: number,
  b: number,
  c: number,
): number {
  const right = operation === 'sub' ? -b : b;
  const plain = {
    add: a + right,
    sub: a + right,
    mul: a * b,
    fma: a * b + c,
    div: a / b,
    sqrt: Math.sqrt(a),
  }[operation];
  const operands = { add: [a, b], sub: [a, b], mul: [a, b], fma: [a, b, c], div: [a, b], sqrt: [a] }[
    operation
  ];
  // A product that is too large for a double is finite all the same.
  if (operation === 'fma' && Number.isFinite(a) && Number.isFinite(b) && !Number.isFinite(c)) return c;
  if (!operands.every(Number.isFinite)) return plain;
  if (Number.isNaN(plain) || (operation === 'div' && b === 0)) return plain;
  const exact = exactly(operation, rounding, a, right, c);
  return decode(roundExact(exact, format, rounding), format);
}

function exactly(operation: ExactOperation, rounding: Rounding, a: number, b: number, c: number): Exact {
  const left = exactOf(a);
  switch (operation) {
    case 'add':
    case 'sub':
      return exactSum(left, exactOf(b), rounding);
    case 'mul':
      return exactProduct(left, exactOf(b));
    case 'fma':
      return exactSum(exactProduct(left, exactOf(b)), exactOf(c), rounding);
    case 'div': {
      const divisor = exactOf(b);
      return quotient(left, divisor);
    }
    case 'sqrt':
      return squareRoot(left);
  }
}

/** More bits than any format keeps; the last one says whether something is left. */
function quotient(left: Exact, right: Exact): Exact {
  const extra = 140n;
  const negative = isNegative(left) !== isNegative(right);
  const dividend = (left.mantissa < 0n ? -left.mantissa : left.mantissa) << extra;
  const divisor = right.mantissa < 0n ? -right.mantissa : right.mantissa;
  const whole = dividend / divisor;
  const sticky = (whole << 1n) | (whole * divisor === dividend ? 0n : 1n);
  return {
    mantissa: negative ? -sticky : sticky,
    exponent: left.exponent - right.exponent - Number(extra) - 1,
    negativeZero: sticky === 0n && negative,
  };
}

function squareRoot(value: Exact): Exact {
  if (value.mantissa === 0n) return value;
  const shift = 160 + (value.exponent & 1);
  const wide = value.mantissa << BigInt(shift);
  // Newton's method from above.
  let root = 1n << BigInt(Math.ceil(bitLength(wide) / 2));
  for (;;) {
    const next = (root + wide / root) >> 1n;
    if (next >= root) break;
    root = next;
  }
  const sticky = (root << 1n) | (root * root === wide ? 0n : 1n);
  return { mantissa: sticky, exponent: (value.exponent - shift) / 2 - 1, negativeZero: false };
}

function decode(bits: bigint, format: 'f32' | 'f64'): number {
  if (format === 'f32') {
    view.setUint32(0, Number(bits));
    return view.getFloat32(0);
  }
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}
