/**
 * What users may allow matrix units to do that changes results: roundings that a program does not write.
 * Without, units compute what other processors do, but for the order of sums.
 */
import type { PtxTarget } from './ptx-target.ts';

export const allowances = ['rounded-factors', 'tf32', 'f8-sums'] as const;
export type Allowance = (typeof allowances)[number];

interface AllowanceFacts {
  /** For people. */
  readonly permits: string;
  /**
   * Of a sum of products: how far its result may be off for it, at most, as a part of the sum of the
   * products' magnitudes. What f32 arithmetic adds is beside it.
   */
  readonly error: number;
  /** The GPUs that have units for it. */
  readonly targets: readonly PtxTarget[];
}

export const allowanceFacts: { readonly [A in Allowance]: AllowanceFacts } = {
  // Half of the last of eight bits.
  'rounded-factors': {
    permits: 'a factor that is not of 16 bits is rounded to 16 where the other one is stored so',
    error: 2 ** -8,
    targets: ['sm_80', 'sm_90a'],
  },
  // Of each factor eleven bits stay, cut off at worst, which is 2^-10 of it.
  tf32: {
    permits: 'factors that are not of 16 bits are multiplied with eleven bits each (tf32)',
    error: 2 ** -9,
    targets: ['sm_80', 'sm_90a'],
  },
  // Fourteen bits of the largest: of 32 products and what was added before, four times for a sum of 128.
  'f8-sums': {
    permits: 'products of 8-bit floats are added up with fourteen bits, 128 at a time',
    error: 4 * 33 * 2 ** -13,
    targets: ['sm_90a'],
  },
};

/** What of these a target has no units for: the first, if there is one. */
export function foreignAllowance(allowed: readonly Allowance[], target: PtxTarget): Allowance | undefined {
  return allowed.find((each) => !allowanceFacts[each].targets.includes(target));
}

/** `rounded-factors, tf32, f8-sums`. */
export const allowanceNames = allowances.join(', ');

export function isAllowance(name: string): name is Allowance {
  return allowances.some((each) => each === name);
}
