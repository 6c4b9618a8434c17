/** Texts of `printf` (C17, 7.21.6.1), as CUDA's has them. */

const specification = /%([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?(hh|h|ll|l|j|z|t|L)?([a-zA-Z%])/g;

/**
 * @param next the bits of the next argument, of 4 bytes or 8.
 * @param textAt the text at an address.
 */
export function formatText(
  format: string,
  next: (bytes: 4 | 8) => bigint,
  textAt: (address: bigint) => string,
): string {
  const signed = (bytes: 4 | 8): number => Number(BigInt.asIntN(32, next(bytes)));
  return format.replace(
    specification,
    (whole: string, flags: string, width: string | undefined, precision, length, letter: string) => {
      if (letter === '%') return '%';
      const wide = width === '*' ? signed(4) : Number(width ?? 0);
      const hasPoint = /\.(\*|\d*)(hh|h|ll|l|j|z|t|L)?[a-zA-Z]$/.test(whole);
      const given = precision === '*' ? signed(4) : Number(precision ?? 0);
      const digits = hasPoint && given >= 0 ? given : undefined;
      const bytes = length === 'l' || length === 'll' || /^[jzt]$/.test(length ?? '') ? 8 : 4;
      const write = writers[letter];
      if (write === undefined) return whole;
      const { sign, text, isNumber } = write({ flags, digits, bytes, length, next, textAt });
      const isLeft = flags.includes('-') || wide < 0;
      const room = Math.abs(wide) - sign.length;
      if (isLeft) return (sign + text).padEnd(Math.abs(wide));
      const isZero = flags.includes('0') && isNumber && !(digits !== undefined && /[diouxX]/.test(letter));
      return isZero ? sign + text.padStart(room, '0') : (sign + text).padStart(Math.abs(wide));
    },
  );
}

interface Parts {
  readonly flags: string;
  readonly digits: number | undefined;
  readonly bytes: 4 | 8;
  readonly length: string | undefined;
  readonly next: (bytes: 4 | 8) => bigint;
  readonly textAt: (address: bigint) => string;
}

interface Written {
  /** Before zeros that fill. */
  readonly sign: string;
  readonly text: string;
  readonly isNumber: boolean;
}

function signOf(isNegative: boolean, flags: string): string {
  return isNegative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
}

const shortBits: { readonly [length: string]: number } = { hh: 8, h: 16 };

function integer(radix: 8 | 10 | 16, isSigned: boolean, isUpper = false) {
  return ({ flags, digits, bytes, length, next }: Parts): Written => {
    const bits = shortBits[length ?? ''] ?? 8 * bytes;
    const value = isSigned ? BigInt.asIntN(bits, next(bytes)) : BigInt.asUintN(bits, next(bytes));
    const plain = (value < 0n ? -value : value).toString(radix).padStart(digits ?? 1, '0');
    const text = digits === 0 && value === 0n ? '' : isUpper ? plain.toUpperCase() : plain;
    const prefix = radix === 16 && flags.includes('#') && value !== 0n ? (isUpper ? '0X' : '0x') : '';
    return { sign: isSigned ? signOf(value < 0n, flags) : prefix, text, isNumber: true };
  };
}

const scratch = new DataView(new ArrayBuffer(8));

function float(write: (value: number, digits: number, flags: string) => string, isUpper: boolean) {
  return ({ flags, digits = 6, next }: Parts): Written => {
    scratch.setBigUint64(0, next(8));
    const value = scratch.getFloat64(0);
    const sign = signOf(value < 0 || Object.is(value, -0), flags);
    const magnitude = Math.abs(value);
    if (!Number.isFinite(magnitude)) {
      const name = Number.isNaN(value) ? 'nan' : 'inf';
      return { sign, text: isUpper ? name.toUpperCase() : name, isNumber: false };
    }
    const text = write(magnitude, digits, flags);
    return { sign, text: isUpper ? text.toUpperCase() : text, isNumber: true };
  };
}

/** At least two digits of an exponent. */
function exponential(value: number, digits: number): string {
  const text = tieToEven((count) => value.toExponential(count), Math.min(70, digits));
  return text.replace(/e([+-])(\d)$/, 'e$10$2');
}

/** C rounds what is just between two texts to the even one, JavaScript up. Numbers have fewer digits. */
function tieToEven(write: (digits: number) => string, digits: number): string {
  const [mantissa = '', exponent] = write(digits + 30).split('e');
  const end = mantissa.indexOf('.') + (digits === 0 ? 0 : 1 + digits);
  const [kept, rest] = [mantissa.slice(0, end), mantissa.slice(end).replace('.', '')];
  const isTie = /^50*$/.test(rest) && /[02468]$/.test(kept);
  if (!isTie) return write(digits);
  return exponent === undefined ? kept : `${kept}e${exponent}`;
}

/** Beyond 10^21 JavaScript writes an exponent: such numbers are whole. */
function fixed(value: number, digits: number): string {
  if (value < 1e21) return tieToEven((count) => value.toFixed(count), Math.min(70, digits));
  return BigInt(value).toString() + (digits > 0 ? `.${'0'.repeat(digits)}` : '');
}

function general(value: number, digits: number, flags: string): string {
  const precision = digits === 0 ? 1 : Math.min(100, digits);
  const exponent = value === 0 ? 0 : Number(value.toExponential(precision - 1).split('e')[1]);
  const isFixed = exponent >= -4 && exponent < precision;
  const text = isFixed ? fixed(value, precision - 1 - exponent) : exponential(value, precision - 1);
  if (flags.includes('#')) return text;
  const [mantissa = '', power] = text.split('e');
  const short = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
  return power === undefined ? short : `${short}e${power}`;
}

const writers: { readonly [letter: string]: ((parts: Parts) => Written) | undefined } = {
  d: integer(10, true),
  i: integer(10, true),
  u: integer(10, false),
  o: integer(8, false),
  x: integer(16, false),
  X: integer(16, false, true),
  f: float(fixed, false),
  F: float(fixed, true),
  e: float(exponential, false),
  E: float(exponential, true),
  g: float(general, false),
  G: float(general, true),
  c: ({ next }) => ({ sign: '', text: String.fromCharCode(Number(next(4) & 255n)), isNumber: false }),
  s: ({ digits, next, textAt }) => {
    const address = next(8);
    const text = address === 0n ? '(null)' : textAt(address);
    return { sign: '', text: text.slice(0, digits), isNumber: false };
  },
  p: ({ next }) => {
    const address = next(8);
    return { sign: '', text: address === 0n ? '(nil)' : `0x${address.toString(16)}`, isNumber: false };
  },
};
