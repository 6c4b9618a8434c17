/** What PTX is written for: GPUs from Ampere on, or the features that are of Hopper alone. */
export const ptxTargets = ['sm_80', 'sm_90a'] as const;
export type PtxTarget = (typeof ptxTargets)[number];
