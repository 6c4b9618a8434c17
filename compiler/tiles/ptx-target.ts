/** What PTX is written for: GPUs from Ampere on, or the features that are of Hopper alone. */
export const ptxTargets = ['sm_80', 'sm_90a'] as const;
export type PtxTarget = (typeof ptxTargets)[number];

/**
 * The target of a GPU: what is written for `sm_90a` runs on 9.0 and on no other, what is written for `sm_80` on
 * all from there on.
 */
export function targetOf(major: number, minor: number): PtxTarget | undefined {
  if (major === 9 && minor === 0) return 'sm_90a';
  return major >= 8 ? 'sm_80' : undefined;
}
