/**
 * How elements lie in storage buffers. Every tensor is dense, little-endian and packed, as in a safetensors
 * file; what is narrower than a word is read and written as part of 32-bit words.
 */
import type { Dtype } from '../../dsl/types/dtype.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { HelperName } from './helpers.ts';

export function elementsPerWord(dtype: Dtype): 1 | 2 | 4 {
  const bits = dtypeFacts[dtype].bits;
  return bits === 32 ? 1 : bits === 16 ? 2 : 4;
}

/** How a buffer is declared: its elements one by one (or word by word), or four elements together. */
export type View = 'single' | 'four';

const viewTypes: { readonly [E in 1 | 2 | 4]: { readonly [V in View]: string } } = {
  1: { single: '', four: '' },
  2: { single: 'u32', four: 'vec2u' },
  4: { single: 'u32', four: 'u32' },
};

export function viewType(dtype: Dtype, view: View): string {
  const packed = viewTypes[elementsPerWord(dtype)][view];
  if (packed !== '') return packed;
  const arithmetic = dtypeFacts[dtype].arithmetic;
  return view === 'single' ? arithmetic : `vec4${arithmetic[0]}`;
}

/** Conversions of narrow types from and to the low bits of a u32 (or of four). */
export type NarrowCode =
  | { readonly kind: 'helpers'; readonly value: HelperName; readonly bits: HelperName }
  | { readonly kind: 'unsigned' }
  | { readonly kind: 'signed' }
  | { readonly kind: 'bool' };

const helpers = (value: HelperName, bits: HelperName): NarrowCode => ({ kind: 'helpers', value, bits });

/** undefined: stored as it is, in a word. */
export const narrowCodes: { readonly [D in Dtype]: NarrowCode | undefined } = {
  f32: undefined,
  i32: undefined,
  u32: undefined,
  bf16: helpers('bf16_value', 'bf16_bits'),
  f16: helpers('f16_value', 'f16_bits'),
  f8e4m3: helpers('f8e4m3_value', 'f8e4m3_bits'),
  f8e5m2: helpers('f8e5m2_value', 'f8e5m2_bits'),
  i8: { kind: 'signed' },
  u8: { kind: 'unsigned' },
  bool: { kind: 'bool' },
};
