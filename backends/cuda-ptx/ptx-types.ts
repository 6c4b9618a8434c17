/** The scalar types of PTX (PTX ISA 8.x, "Fundamental types" and "Alternate floating-point data formats"). */

export type TypeClass = 'bits' | 'unsigned' | 'signed' | 'float' | 'packed' | 'predicate';

interface TypeFacts {
  readonly bits: number;
  readonly class: TypeClass;
}

const facts = (bits: number, typeClass: TypeClass): TypeFacts => ({ bits, class: typeClass });

const table = {
  pred: facts(1, 'predicate'),
  b8: facts(8, 'bits'),
  b16: facts(16, 'bits'),
  b32: facts(32, 'bits'),
  b64: facts(64, 'bits'),
  b128: facts(128, 'bits'),
  u8: facts(8, 'unsigned'),
  u16: facts(16, 'unsigned'),
  u32: facts(32, 'unsigned'),
  u64: facts(64, 'unsigned'),
  s8: facts(8, 'signed'),
  s16: facts(16, 'signed'),
  s32: facts(32, 'signed'),
  s64: facts(64, 'signed'),
  f16: facts(16, 'float'),
  bf16: facts(16, 'float'),
  tf32: facts(32, 'float'),
  f32: facts(32, 'float'),
  f64: facts(64, 'float'),
  e4m3: facts(8, 'float'),
  e5m2: facts(8, 'float'),
  u16x2: facts(32, 'unsigned'),
  s16x2: facts(32, 'signed'),
  f16x2: facts(32, 'packed'),
  bf16x2: facts(32, 'packed'),
  e4m3x2: facts(16, 'packed'),
  e5m2x2: facts(16, 'packed'),
} as const satisfies Record<string, TypeFacts>;

export type PtxType = keyof typeof table;
export const ptxTypes: { readonly [T in PtxType]: TypeFacts } = table;

export function isPtxType(name: string): name is PtxType {
  return Object.hasOwn(table, name);
}

export function bytesOf(type: PtxType): number {
  return Math.ceil(ptxTypes[type].bits / 8);
}
