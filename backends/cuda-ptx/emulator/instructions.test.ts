/** Every kind of instruction on values that are easy and values that are not, against what PTX says. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parsePtx } from '../parse.ts';
import { bytesOf, type PtxType, ptxTypes } from '../ptx-types.ts';
import { launch } from './launch.ts';
import { exactOf, exactProduct, exactSum, narrow, operate, type Rounding, widen } from './soft-float.ts';
import { given, randomNumbers, wanted } from './testing.ts';

const count = 64;
const random = randomNumbers(3);

function mask(bits: bigint, width: number): bigint {
  return BigInt.asUintN(width, bits);
}

/** Bits of the type: ends of its range, what floats have of oddities, and random ones. */
function sample(type: PtxType): readonly bigint[] {
  const { bits, class: typeClass } = ptxTypes[type];
  const special: { readonly [T in PtxType]?: readonly bigint[] } = {
    f32: [0n, 0x80000000n, 0x3f800000n, 0x7f800000n, 0xff800000n, 0x7fc00000n, 1n, 0x807fffffn, 0x7f7fffffn],
    f64: [0n, 1n << 63n, 0x3ff0000000000000n, 0x7ff0000000000000n, 0xfff0000000000000n, 1n],
    f16: [0n, 0x8000n, 0x3c00n, 0x7c00n, 0xfc00n, 0x7e00n, 1n, 0x83ffn, 0x7bffn],
    bf16: [0n, 0x8000n, 0x3f80n, 0x7f80n, 0xff80n, 0x7fc0n, 1n, 0x7f7fn],
  };
  const ends = special[type] ?? [0n, 1n, 2n, (1n << BigInt(bits)) - 1n, 1n << BigInt(bits - 1), 31n, 33n];
  const whole = (): bigint =>
    (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32));
  const near = (): bigint => {
    // Numbers around 1, whose sums and products are numbers again.
    const number = (random() * 2 - 1) * 2 ** Math.floor(random() * 12 - 6);
    const format = type as 'f16' | 'bf16' | 'f32' | 'f64';
    return narrow(number, { format, rounding: 'rn', saturates: false, relu: false });
  };
  const isFloat = typeClass === 'float';
  return Array.from({ length: count }, () => {
    const kind = random();
    if (kind < 0.3) return ends[Math.floor(random() * ends.length)]!;
    return mask(isFloat && kind < 0.8 ? near() : whole(), bits);
  });
}

function pack(values: readonly bigint[], type: PtxType): Uint8Array {
  const size = bytesOf(type);
  const bytes = new Uint8Array(size * values.length);
  values.forEach((value, at) => {
    for (let byte = 0; byte < size; byte++)
      bytes[at * size + byte] = Number((value >> BigInt(8 * byte)) & 255n);
  });
  return bytes;
}

function unpack(bytes: Uint8Array, type: PtxType): readonly bigint[] {
  const size = bytesOf(type);
  return Array.from({ length: bytes.length / size }, (_, at) => {
    let value = 0n;
    for (let byte = size - 1; byte >= 0; byte--) value = (value << 8n) | BigInt(bytes[at * size + byte]!);
    return value;
  });
}

/** Of the lower and the upper 16 bits of two words. */
function byHalves(a: bigint, b: bigint, each: (x: bigint, y: bigint) => bigint): bigint {
  const half = (x: bigint, y: bigint): bigint => BigInt.asUintN(16, each(x, y));
  return half(a & 0xffffn, b & 0xffffn) | (half((a >> 16n) & 0xffffn, (b >> 16n) & 0xffffn) << 16n);
}

const registerOf = (type: PtxType): string => (ptxTypes[type].bits === 8 ? 'b16' : `b${ptxTypes[type].bits}`);

/** Runs `instruction` of registers `d`, `a`, `b`, `c` for each of the inputs. */
function apply(
  instruction: string,
  result: PtxType,
  inputs: readonly { readonly type: PtxType; readonly values: readonly bigint[] }[],
  fusedMultiplyAdd?: boolean,
): readonly bigint[] {
  const names = ['a', 'b', 'c', 'e'];
  const read = inputs.map(({ type }, at) => {
    const size = bytesOf(type);
    return `ld.param.u64 %p, [in${at}]; mad.wide.u32 %p, %i, ${size}, %p; ld.global.b${8 * size} %${names[at]}, [%p];`;
  });
  const size = bytesOf(result);
  const module = parsePtx(`.version 8.3
    .target sm_90
    .address_size 64
    .entry k(${[...inputs.map((_, at) => `.param .u64 in${at}`), '.param .u64 out'].join(', ')}) {
      .reg .b64 %p; .reg .u32 %i; .reg .pred %q, %q2;
      ${inputs.map(({ type }, at) => `.reg .${registerOf(type)} %${names[at]};`).join(' ')}
      .reg .${registerOf(result)} %d;
      mov.u32 %i, %tid.x;
      ${read.join('\n')}
      ${instruction}
      ld.param.u64 %p, [out]; mad.wide.u32 %p, %i, ${size}, %p; st.global.b${8 * size} [%p], %d;
      ret; }`);
  const out = new Uint8Array(size * count);
  launch({
    ...{ module, kernel: 'k', grid: [1, 1, 1], block: [count, 1, 1] },
    arguments: [
      ...inputs.map(({ type, values }, at) => given(`in${at}`, pack(values, type))),
      wanted('out', out),
    ],
    ...(fusedMultiplyAdd === undefined ? {} : { fusedMultiplyAdd }),
  });
  return unpack(out, result);
}

interface Case {
  readonly ptx: string;
  readonly result: PtxType;
  readonly inputs: readonly PtxType[];
  readonly meaning: (...values: bigint[]) => bigint;
}

function check({ ptx, result, inputs, meaning }: Case, fused?: boolean): void {
  const drawn = inputs.map((type) => ({ type, values: sample(type) }));
  const found = apply(ptx, result, drawn, fused);
  const { bits } = ptxTypes[result];
  found.forEach((value, at) => {
    const own = drawn.map(({ values }) => values[at]!);
    const text = own.map((each) => `0x${each.toString(16)}`).join(', ');
    const shown = `${ptx} of ${text}`;
    expect(`${shown}: ${value.toString(16)}`).toBe(`${shown}: ${mask(meaning(...own), bits).toString(16)}`);
  });
}

const s = (width: number, value: bigint): bigint => BigInt.asIntN(width, value);
const u32 = (ptx: string, inputs: number, meaning: Case['meaning']): Case => ({
  ...{ ptx, result: 'u32', meaning },
  inputs: Array.from({ length: inputs }, () => 'u32' as const),
});
const u64 = (ptx: string, inputs: number, meaning: Case['meaning']): Case => ({
  ...{ ptx, result: 'u64', meaning },
  inputs: Array.from({ length: inputs }, () => 'u64' as const),
});
const u16 = (ptx: string, inputs: number, meaning: Case['meaning']): Case => ({
  ...{ ptx, result: 'u16', meaning },
  inputs: Array.from({ length: inputs }, () => 'u16' as const),
});
const low = (value: bigint): bigint => value & 0xffn;
const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const most = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const bitCount = (value: bigint): bigint => BigInt(value.toString(2).replaceAll('0', '').length);
const field = (width: number, signed: boolean) => (a: bigint, b: bigint, c: bigint) => {
  const [at, length] = [low(b), low(c)];
  if (length === 0n) return 0n;
  const whole = signed ? s(width, a) : a;
  return signed ? BigInt.asIntN(Number(length), whole >> at) : BigInt.asUintN(Number(length), whole >> at);
};

const integers: readonly Case[] = [
  u32('add.u32 %d, %a, %b;', 2, (a, b) => a + b),
  u32('sub.s32 %d, %a, %b;', 2, (a, b) => a - b),
  u32('add.sat.s32 %d, %a, %b;', 2, (a, b) => most(-(2n ** 31n), least(2n ** 31n - 1n, s(32, a) + s(32, b)))),
  u32('sub.sat.s32 %d, %a, %b;', 2, (a, b) => most(-(2n ** 31n), least(2n ** 31n - 1n, s(32, a) - s(32, b)))),
  u32('mul.lo.s32 %d, %a, %b;', 2, (a, b) => a * b),
  u32('mul.hi.u32 %d, %a, %b;', 2, (a, b) => (a * b) >> 32n),
  u32('mul.hi.s32 %d, %a, %b;', 2, (a, b) => (s(32, a) * s(32, b)) >> 32n),
  u32('mad.hi.u32 %d, %a, %b, %c;', 3, (a, b, c) => ((a * b) >> 32n) + c),
  u32('mad.lo.s32 %d, %a, %b, %c;', 3, (a, b, c) => a * b + c),
  u32('mul24.lo.s32 %d, %a, %b;', 2, (a, b) => s(24, a) * s(24, b)),
  u32('mad24.hi.u32 %d, %a, %b, %c;', 3, (a, b, c) => (((a & 0xffffffn) * (b & 0xffffffn)) >> 16n) + c),
  u32('div.u32 %d, %a, %b;', 2, (a, b) => (b === 0n ? -1n : a / b)),
  u32('div.s32 %d, %a, %b;', 2, (a, b) => (b === 0n ? -1n : s(32, a) / s(32, b))),
  u32('rem.s32 %d, %a, %b;', 2, (a, b) => (b === 0n ? a : s(32, a) % s(32, b))),
  u32('min.s32 %d, %a, %b;', 2, (a, b) => least(s(32, a), s(32, b))),
  u32('max.u32 %d, %a, %b;', 2, (a, b) => most(a, b)),
  u32('abs.s32 %d, %a;', 1, (a) => (s(32, a) < 0n ? -s(32, a) : a)),
  u32('neg.s32 %d, %a;', 1, (a) => -a),
  u32('sad.s32 %d, %a, %b, %c;', 3, (a, b, c) => most(s(32, a), s(32, b)) - least(s(32, a), s(32, b)) + c),
  u32('not.b32 %d, %a;', 1, (a) => ~a),
  u32('cnot.b32 %d, %a;', 1, (a) => (a === 0n ? 1n : 0n)),
  u32('lop3.b32 %d, %a, %b, %c, 0xE2;', 3, (a, b, c) => (b & a) | (~b & c)),
  u32('lop3.b32 %d, %a, %b, %c, 0x96;', 3, (a, b, c) => a ^ b ^ c),
  u32('shl.b32 %d, %a, %b;', 2, (a, b) => (b >= 32n ? 0n : a << b)),
  u32('shr.u32 %d, %a, %b;', 2, (a, b) => (b >= 32n ? 0n : a >> b)),
  u32('shr.s32 %d, %a, %b;', 2, (a, b) => s(32, a) >> least(b, 31n)),
  u32('shr.s32 %d, %a, 40;', 1, (a) => s(32, a) >> 31n),
  u32('shl.b32 %d, %a, 7;', 1, (a) => a << 7n),
  u32('shf.l.wrap.b32 %d, %a, %b, %c;', 3, (a, b, c) => (((b << 32n) | a) << (c & 31n)) >> 32n),
  u32('shf.r.clamp.b32 %d, %a, %b, %c;', 3, (a, b, c) => ((b << 32n) | a) >> least(c, 32n)),
  u32('bfe.u32 %d, %a, %b, %c;', 3, field(32, false)),
  u32('bfe.s32 %d, %a, %b, %c;', 3, field(32, true)),
  u32('bfi.b32 %d, %a, %b, 5, 9;', 2, (a, b) => (b & ~(511n << 5n)) | ((a & 511n) << 5n)),
  u32('bfind.u32 %d, %a;', 1, (a) => (a === 0n ? -1n : BigInt(a.toString(2).length - 1))),
  u32('brev.b32 %d, %a;', 1, (a) => BigInt(`0b${[...a.toString(2).padStart(32, '0')].reverse().join('')}`)),
  u32('clz.b32 %d, %a;', 1, (a) => BigInt(a === 0n ? 32 : 32 - a.toString(2).length)),
  u32('popc.b32 %d, %a;', 1, bitCount),
  u32('prmt.b32 %d, %a, %b, 0x7418;', 2, (a, b) => {
    const all = (b << 32n) | a;
    const byte = (at: bigint): bigint => (all >> (8n * at)) & 255n;
    const sign = byte(0n) >= 128n ? 255n : 0n;
    return (byte(7n) << 24n) | (byte(4n) << 16n) | (byte(1n) << 8n) | sign;
  }),
  u32('min.relu.s32 %d, %a, %b;', 2, (a, b) => most(0n, least(s(32, a), s(32, b)))),
  u32('max.s16x2 %d, %a, %b;', 2, (a, b) => byHalves(a, b, (x, y) => most(s(16, x), s(16, y)))),
  u32('min.relu.s16x2 %d, %a, %b;', 2, (a, b) =>
    byHalves(a, b, (x, y) => most(0n, least(s(16, x), s(16, y)))),
  ),
  u32('min.u16x2 %d, %a, %b;', 2, (a, b) => byHalves(a, b, least)),
  u32('add.u16x2 %d, %a, %b;', 2, (a, b) => byHalves(a, b, (x, y) => x + y)),
  u32('vabsdiff2.s32.s32.s32.sat %d, %a, %b, 0;', 2, (a, b) =>
    byHalves(a, b, (x, y) => {
      const difference = s(16, x) - s(16, y);
      return least(difference < 0n ? -difference : difference, 0x7fffn);
    }),
  ),
  u32('dp4a.s32.u32 %d, %a, %b, %c;', 3, (a, b, c) =>
    [0n, 8n, 16n, 24n].reduce((sum, at) => sum + s(8, (a >> at) & 255n) * ((b >> at) & 255n), c),
  ),
  u32('dp4a.u32.s32 %d, %a, %b, %c;', 3, (a, b, c) =>
    [0n, 8n, 16n, 24n].reduce((sum, at) => sum + ((a >> at) & 255n) * s(8, (b >> at) & 255n), c),
  ),
  u32('setp.lt.s32 %q, %a, %b; selp.b32 %d, %a, %b, %q;', 2, (a, b) => (s(32, a) < s(32, b) ? a : b)),
  u32('setp.hi.u32 %q, %a, %b; selp.b32 %d, %a, %b, %q;', 2, most),
  u32('setp.hi.u32 %q, %a, %b; not.pred %q, %q; selp.b32 %d, %a, %b, %q;', 2, least),
  u32('setp.ge.u32 %q|%q2, %a, %b; @%q2 mov.b32 %a, 0; mov.b32 %d, %a;', 2, (a, b) => (a >= b ? a : 0n)),
  u32('set.le.u32.s32 %d, %a, %b;', 2, (a, b) => (s(32, a) <= s(32, b) ? -1n : 0n)),
  u32('slct.b32.s32 %d, %a, %b, %c;', 3, (a, b, c) => (s(32, c) >= 0n ? a : b)),
  u64('add.u64 %d, %a, %b;', 2, (a, b) => a + b),
  u64('mul.lo.s64 %d, %a, %b;', 2, (a, b) => a * b),
  u64('mul.hi.u64 %d, %a, %b;', 2, (a, b) => (a * b) >> 64n),
  u64('mul.hi.s64 %d, %a, %b;', 2, (a, b) => (s(64, a) * s(64, b)) >> 64n),
  u64('div.s64 %d, %a, %b;', 2, (a, b) => (b === 0n ? -1n : s(64, a) / s(64, b))),
  u64('rem.u64 %d, %a, %b;', 2, (a, b) => (b === 0n ? a : a % b)),
  u64('min.u64 %d, %a, %b;', 2, least),
  u64('max.s64 %d, %a, %b;', 2, (a, b) => most(s(64, a), s(64, b))),
  u64('bfe.s64 %d, %a, 7, 23;', 1, (a) => BigInt.asIntN(23, a >> 7n)),
  u64('brev.b64 %d, %a;', 1, (a) => BigInt(`0b${[...a.toString(2).padStart(64, '0')].reverse().join('')}`)),
  u64('setp.lt.u64 %q, %a, %b; selp.b64 %d, %a, %b, %q;', 2, least),
  { ...u64('shr.s64 %d, %a, %b;', 2, (a, b) => s(64, a) >> least(b, 63n)), inputs: ['u64', 'u32'] },
  { ...u64('shl.b64 %d, %a, %b;', 2, (a, b) => (b >= 64n ? 0n : a << b)), inputs: ['u64', 'u32'] },
  { ...u64('mul.wide.s32 %d, %a, %b;', 2, (a, b) => s(32, a) * s(32, b)), inputs: ['u32', 'u32'] },
  { ...u64('mad.wide.u32 %d, %a, %b, %c;', 3, (a, b, c) => a * b + c), inputs: ['u32', 'u32', 'u64'] },
  { ...u64('mov.b64 %d, {%a, %b};', 2, (a, b) => (b << 32n) | a), inputs: ['u32', 'u32'] },
  { ...u32('popc.b64 %d, %a;', 1, bitCount), inputs: ['u64'] },
  { ...u32('clz.b64 %d, %a;', 1, (a) => BigInt(a === 0n ? 64 : 64 - a.toString(2).length)), inputs: ['u64'] },
  { ...u32('mul.wide.u16 %d, %a, %b;', 2, (a, b) => a * b), inputs: ['u16', 'u16'] },
  u16('add.s16 %d, %a, %b;', 2, (a, b) => a + b),
  u16('mul.hi.s16 %d, %a, %b;', 2, (a, b) => (s(16, a) * s(16, b)) >> 16n),
  u16('shr.s16 %d, %a, 3;', 1, (a) => s(16, a) >> 3n),
  u16('min.s16 %d, %a, %b;', 2, (a, b) => least(s(16, a), s(16, b))),
  u16('not.b16 %d, %a;', 1, (a) => ~a),
];

describe('integers', () => {
  test.each(integers)('$ptx', (each) => check(each));
});

const number = (bits: bigint, type: 'f16' | 'bf16' | 'f32' | 'f64'): number => {
  if (type !== 'f64') return widen(Number(bits), type);
  return new Float64Array(new BigUint64Array([bits]).buffer)[0]!;
};
const toBits = (value: number, type: 'f16' | 'bf16' | 'f32' | 'f64', rounding: Rounding = 'rn'): bigint =>
  narrow(value, { format: type, rounding, saturates: false, relu: false });
/** Of f32, by one f64 operation, whose rounding is not seen in f32. */
const f32 = (ptx: string, inputs: number, meaning: (...values: number[]) => number): Case => ({
  ...{ ptx, result: 'f32' },
  inputs: Array.from({ length: inputs }, () => 'f32' as const),
  meaning: (...bits) => toBits(meaning(...bits.map((each) => number(each, 'f32'))), 'f32'),
});
const flush = (value: number): number => (Math.abs(value) < 2 ** -126 ? 0 * value : value);
const smaller = (a: number, b: number): number =>
  Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.min(a, b);
const clamp = (value: number): number => (value > 0 ? Math.min(value, 1) : 0);
const half = (
  ptx: string,
  type: 'f16' | 'bf16',
  inputs: number,
  meaning: (...values: number[]) => number,
): Case => ({
  ...{ ptx, result: type },
  inputs: Array.from({ length: inputs }, () => type),
  meaning: (...bits) => toBits(meaning(...bits.map((each) => number(each, type))), type),
});

const floats: readonly Case[] = [
  f32('add.f32 %d, %a, %b;', 2, (a, b) => a + b),
  f32('sub.rn.f32 %d, %a, %b;', 2, (a, b) => a - b),
  f32('mul.f32 %d, %a, %b;', 2, (a, b) => a * b),
  f32('mul.ftz.f32 %d, %a, %b;', 2, (a, b) => flush(Math.fround(flush(a) * flush(b)))),
  f32('add.sat.f32 %d, %a, %b;', 2, (a, b) => clamp(a + b)),
  f32('div.rn.f32 %d, %a, %b;', 2, (a, b) => a / b),
  f32('rcp.rn.f32 %d, %a;', 1, (a) => 1 / a),
  f32('sqrt.rn.f32 %d, %a;', 1, (a) => Math.sqrt(a)),
  f32('min.f32 %d, %a, %b;', 2, smaller),
  f32('min.NaN.f32 %d, %a, %b;', 2, (a, b) => Math.min(a, b)),
  f32('max.f32 %d, %a, %b;', 2, (a, b) => -smaller(-a, -b)),
  f32('cvt.rni.f32.f32 %d, %a;', 1, (a) => {
    const down = Math.floor(a);
    const rest = a - down;
    const rounded = rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
    return rounded === 0 ? 0 * a : rounded;
  }),
  f32('cvt.sat.f32.f32 %d, %a;', 1, clamp),
  f32('rsqrt.approx.f32 %d, %a;', 1, (a) => 1 / Math.sqrt(a)),
  f32('setp.gtu.f32 %q, %a, %b; selp.f32 %d, 0f3F800000, 0f00000000, %q;', 2, (a, b) => (a <= b ? 0 : 1)),
  f32('setp.ne.f32 %q, %a, %b; selp.f32 %d, 0f3F800000, 0f00000000, %q;', 2, (a, b) =>
    a !== b && !Number.isNaN(a) && !Number.isNaN(b) ? 1 : 0,
  ),
  half('add.f16 %d, %a, %b;', 'f16', 2, (a, b) => a + b),
  half('mul.rn.bf16 %d, %a, %b;', 'bf16', 2, (a, b) => a * b),
  half('max.f16 %d, %a, %b;', 'f16', 2, (a, b) => -smaller(-a, -b)),
  {
    ...f32('cvt.f32.f16 %d, %a;', 1, (a) => a),
    inputs: ['f16'],
    meaning: (a) => toBits(number(a, 'f16'), 'f32'),
  },
  {
    ...{ ptx: 'cvt.rn.f16.f32 %d, %a;', result: 'f16', inputs: ['f32'] },
    meaning: (a) => toBits(number(a, 'f32'), 'f16'),
  },
  {
    ...{ ptx: 'cvt.rn.bf16.f32 %d, %a;', result: 'bf16', inputs: ['f32'] },
    meaning: (a) => toBits(number(a, 'f32'), 'bf16'),
  },
  {
    ...{ ptx: 'cvt.rn.f16x2.f32 %d, %a, %b;', result: 'b32', inputs: ['f32', 'f32'] },
    meaning: (a, b) => (toBits(number(a, 'f32'), 'f16') << 16n) | toBits(number(b, 'f32'), 'f16'),
  },
  {
    ...{ ptx: 'cvt.rzi.s32.f32 %d, %a;', result: 's32', inputs: ['f32'] },
    meaning: (a) => {
      const value = Math.trunc(number(a, 'f32'));
      return Number.isNaN(value) ? 0n : BigInt(Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), value)));
    },
  },
  {
    ...{ ptx: 'cvt.rmi.u8.f32 %d, %a;', result: 'u8', inputs: ['f32'] },
    meaning: (a) => {
      const value = Math.floor(number(a, 'f32'));
      return Number.isNaN(value) ? 0n : BigInt(Math.min(255, Math.max(0, value)));
    },
  },
  {
    ...{ ptx: 'cvt.rn.f32.s32 %d, %a;', result: 'f32', inputs: ['s32'] },
    meaning: (a) => toBits(Number(s(32, a)), 'f32'),
  },
  {
    ...{ ptx: 'cvt.rz.f32.u32 %d, %a;', result: 'f32', inputs: ['u32'] },
    meaning: (a) => toBits(Number(a), 'f32', 'rz'),
  },
  {
    ...{ ptx: 'cvt.rn.f64.s64 %d, %a;', result: 'f64', inputs: ['s64'] },
    meaning: (a) => toBits(Number(s(64, a)), 'f64'),
  },
  {
    ...{ ptx: 'cvt.s64.s8 %d, %a;', result: 's64', inputs: ['s8'] },
    meaning: (a) => s(8, a),
  },
  {
    ...{ ptx: 'cvt.sat.s8.s32 %d, %a;', result: 's8', inputs: ['s32'] },
    meaning: (a) => most(-128n, least(127n, s(32, a))),
  },
  {
    ...{ ptx: 'cvt.rn.f32.f64 %d, %a;', result: 'f32', inputs: ['f64'] },
    meaning: (a) => toBits(Math.fround(number(a, 'f64')), 'f32'),
  },
];

describe('floats', () => {
  test.each(floats)('$ptx', (each) => check(each));

  const directed = ['rn', 'rz', 'rm', 'rp'] as const;
  test.each(directed)('fma.%s.f32 is the exact sum, rounded once', (rounding) => {
    const meaning = (...bits: bigint[]): bigint => {
      const [a, b, c] = bits.map((each) => number(each, 'f32')) as [number, number, number];
      const result = operate('fma', 'f32', rounding, a, b, c);
      return toBits(result, 'f32');
    };
    const one: Case = {
      ptx: `fma.${rounding}.f32 %d, %a, %b, %c;`,
      result: 'f32',
      inputs: ['f32', 'f32', 'f32'],
      meaning,
    };
    check(one, false);
    check(one);
  });

  test.each(['rz', 'rm', 'rp'] as const)('add, sub, mul and div.%s.f32', (rounding) => {
    for (const name of ['add', 'sub', 'mul', 'div'] as const) {
      const meaning = (...bits: bigint[]): bigint => {
        const [a, b] = bits.map((each) => number(each, 'f32')) as [number, number];
        return toBits(operate(name, 'f32', rounding, a, b, 0), 'f32');
      };
      check({ ptx: `${name}.${rounding}.f32 %d, %a, %b;`, result: 'f32', inputs: ['f32', 'f32'], meaning });
    }
  });

  test.each(['f16', 'bf16'] as const)('fma.rn.%s is the exact sum, rounded once', (type) => {
    const meaning = (...bits: bigint[]): bigint => {
      const [a, b, c] = bits.map((each) => number(each, type)) as [number, number, number];
      if (![a, b, c].every(Number.isFinite)) return toBits(a * b + c, type);
      // What no f64 holds is rounded away from ties by it: the exact sum is.
      const exact = exactSum(exactProduct(exactOf(a), exactOf(b)), exactOf(c), 'rn');
      return nearest(exact, type);
    };
    check({ ptx: `fma.rn.${type} %d, %a, %b, %c;`, result: type, inputs: [type, type, type], meaning });
  });

  test('ex2, lg2 and sin are within two units in the last place', () => {
    const values = Array.from({ length: count }, () => toBits(random() * 20 - 10, 'f32'));
    const bounds = { ex2: (x: number) => 2 ** x, lg2: (x: number) => Math.log2(x), sin: Math.sin };
    for (const [name, meaning] of Object.entries(bounds)) {
      const found = apply(`${name}.approx.f32 %d, %a;`, 'f32', [{ type: 'f32', values }]);
      found.forEach((bits, at) => {
        const expected = meaning(number(values[at]!, 'f32'));
        if (Number.isNaN(expected)) expect(bits).toBe(0x7fffffffn);
        else expect(Math.abs(number(bits, 'f32') / expected - 1)).toBeLessThan(2 ** -22);
      });
    }
  });
});

/** Of a whole number times a power of two: by trying the neighbours of a first guess. */
function nearest(exact: ReturnType<typeof exactOf>, type: 'f16' | 'bf16'): bigint {
  const last = type === 'f16' ? 0x7bff : 0x7f7f;
  const negative = exact.mantissa < 0n || (exact.mantissa === 0n && exact.negativeZero);
  const distance = (bits: number): { readonly mantissa: bigint; readonly exponent: number } => {
    const value = exactOf(widen(bits, type) * (negative ? -1 : 1));
    return exactSum(exact, { ...value, mantissa: -value.mantissa }, 'rn');
  };
  let [low, high] = [0, last];
  // The largest number that is not beyond the value.
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const { mantissa } = distance(middle);
    if (mantissa === 0n || mantissa < 0n === negative) low = middle;
    else high = middle - 1;
  }
  const below = distance(low);
  const scale = 2 ** (type === 'f16' ? 10 : 7);
  const step = exactOf(
    widen(low + 1, type) === Number.POSITIVE_INFINITY
      ? widen(low, type) / scale
      : widen(low + 1, type) - widen(low, type),
  );
  // Twice what is left over against one step.
  const twice = {
    mantissa: 2n * (below.mantissa < 0n ? -below.mantissa : below.mantissa),
    exponent: below.exponent,
  };
  const over = exactSum(
    { ...twice, negativeZero: false },
    { ...step, mantissa: -step.mantissa },
    'rn',
  ).mantissa;
  const up = over > 0n || (over === 0n && low % 2 === 1);
  return BigInt((up ? low + 1 : low) + (negative ? 0x8000 : 0));
}

test('rounding in each direction brackets the exact value, with no number of f32 between', () => {
  const any = fc.double({ noNaN: true, min: -1e6, max: 1e6 }).map(Math.fround);
  fc.assert(
    fc.property(any, any, any, (a, b, c) => {
      const [down, up, toZero, toNearest] = (['rm', 'rp', 'rz', 'rn'] as const).map((rounding) =>
        operate('fma', 'f32', rounding, a, b, c),
      ) as [number, number, number, number];
      const exact = exactSum(exactProduct(exactOf(a), exactOf(b)), exactOf(c), 'rn');
      const compare = (value: number): bigint => {
        const own = exactOf(value);
        return exactSum(exact, { ...own, mantissa: -own.mantissa }, 'rn').mantissa;
      };
      expect(compare(down) >= 0n).toBe(true);
      expect(compare(up) <= 0n).toBe(true);
      expect([down, up]).toContain(toNearest);
      // Of zeros the sign is of no account here.
      expect(toZero + 0).toBe((exact.mantissa < 0n ? up : down) + 0);
      const above = Math.fround(down + Math.max(Math.abs(down) * 2 ** -23, 2 ** -149));
      expect(up === down || up <= above).toBe(true);
    }),
  );
});
