/** What matrix units multiply, and what of it schedules and back ends have to know. */
import type { Dtype } from '../../dsl/types/dtype.ts';

/** In 16 bits, as results can leave, too. */
export type Half = 'bf16' | 'f16';
export type EightBitFloat = 'f8e4m3' | 'f8e5m2';
/** `tf32` is an f32 of which the units take the first eleven bits. */
export type Packed = Half | 'tf32' | EightBitFloat;

/** What the two factors of a product are packed as: elements of as many bytes. */
export interface PackedPair {
  readonly left: Packed;
  readonly right: Packed;
}

interface PackedFacts {
  /** Of an element. */
  readonly bytes: 1 | 2 | 4;
  /** What a tensor is stored as whose elements can be copied as they lie. */
  readonly stored: Dtype;
  /** Products a second, where those of 16 bits are one. */
  readonly rate: number;
  /** Whether warpgroups, too, read a factor whose neighbours are not along what is reduced. */
  readonly isReadAcross: boolean;
  /** Whether single warps multiply it as well. */
  readonly isOfWarps: boolean;
}

export const packedFacts: { readonly [P in Packed]: PackedFacts } = {
  bf16: { bytes: 2, stored: 'bf16', rate: 1, isReadAcross: true, isOfWarps: true },
  f16: { bytes: 2, stored: 'f16', rate: 1, isReadAcross: true, isOfWarps: true },
  tf32: { bytes: 4, stored: 'f32', rate: 0.5, isReadAcross: false, isOfWarps: true },
  f8e4m3: { bytes: 1, stored: 'f8e4m3', rate: 2, isReadAcross: false, isOfWarps: false },
  f8e5m2: { bytes: 1, stored: 'f8e5m2', rate: 2, isReadAcross: false, isOfWarps: false },
};

/** Along what is reduced, of one instruction: of any elements. */
export const unitBytes = 32;

export function isHalf(dtype: Dtype | Packed): dtype is Half {
  return dtype === 'bf16' || dtype === 'f16';
}

export function isEightBitFloat(dtype: Dtype): dtype is EightBitFloat {
  return dtype === 'f8e4m3' || dtype === 'f8e5m2';
}
