/**
 * The element types, and what is true of each. Narrow floats are storage: arithmetic on them is done in f32.
 */

export const dtypes = ['f32', 'bf16', 'f16', 'f8e4m3', 'f8e5m2', 'i32', 'u32', 'i8', 'u8', 'bool'] as const;
export type Dtype = (typeof dtypes)[number];

export type DtypeClass = 'float' | 'signed' | 'unsigned' | 'bool';

export interface DtypeFacts {
  readonly class: DtypeClass;
  /** Size of one stored element in bits. */
  readonly bits: number;
  /** What arithmetic on it is done in, and what an expression of two of them has as its type. */
  readonly arithmetic: 'f32' | 'i32' | 'u32' | 'bool';
  /** Explicit mantissa bits, for floats: half an ulp of 1 is 2^-(mantissa+1). */
  readonly mantissa: number;
}

export const dtypeFacts: { readonly [D in Dtype]: DtypeFacts } = {
  f32: { class: 'float', bits: 32, arithmetic: 'f32', mantissa: 23 },
  bf16: { class: 'float', bits: 16, arithmetic: 'f32', mantissa: 7 },
  f16: { class: 'float', bits: 16, arithmetic: 'f32', mantissa: 10 },
  f8e4m3: { class: 'float', bits: 8, arithmetic: 'f32', mantissa: 3 },
  f8e5m2: { class: 'float', bits: 8, arithmetic: 'f32', mantissa: 2 },
  i32: { class: 'signed', bits: 32, arithmetic: 'i32', mantissa: 0 },
  u32: { class: 'unsigned', bits: 32, arithmetic: 'u32', mantissa: 0 },
  i8: { class: 'signed', bits: 8, arithmetic: 'i32', mantissa: 0 },
  u8: { class: 'unsigned', bits: 8, arithmetic: 'u32', mantissa: 0 },
  bool: { class: 'bool', bits: 8, arithmetic: 'bool', mantissa: 0 },
};

export function isDtype(name: string): name is Dtype {
  return (dtypes as readonly string[]).includes(name);
}

export type FloatDtype = 'f32' | 'bf16' | 'f16' | 'f8e4m3' | 'f8e5m2';

/** The largest finite number of each. */
export const greatestFinite: { readonly [D in FloatDtype]: number } = {
  f32: (2 - 2 ** -23) * 2 ** 127,
  bf16: (2 - 2 ** -7) * 2 ** 127,
  f16: 65504,
  f8e4m3: 448,
  f8e5m2: 57344,
};

export function isFloatDtype(dtype: Dtype): dtype is FloatDtype {
  return dtypeFacts[dtype].class === 'float';
}

/** The ends of what an integer dtype holds, both included. */
export function rangeOfIntegers(dtype: Dtype): { readonly least: number; readonly most: number } {
  const { class: sign, bits } = dtypeFacts[dtype];
  return sign === 'signed'
    ? { least: -(2 ** (bits - 1)), most: 2 ** (bits - 1) - 1 }
    : { least: 0, most: 2 ** bits - 1 };
}
