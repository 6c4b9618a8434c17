/** The stages that `ricci compile --show` can print, in the order of the way through. */

export const stages = ['tree', 'graph', 'optimized', 'tiles', 'wgsl', 'plan'] as const;
export type Stage = (typeof stages)[number];
