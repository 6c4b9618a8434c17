/**
 * The stages that `ricci compile --show` can print, in the order of the way through, by what it takes to get
 * there.
 */

/** The file alone. */
export const sourceStages = ['tree', 'types'] as const;
/** An entry and its sizes. */
export const graphStages = ['graph', 'source', 'optimized'] as const;
/** A device to compile for; the text of its kernels is of one target. */
export const deviceStages = ['schedule', 'tiles', 'wgsl', 'wasm', 'ptx', 'plan'] as const;

export const stages = [...sourceStages, ...graphStages, ...deviceStages] as const;

export type SourceStage = (typeof sourceStages)[number];
export type GraphStage = (typeof graphStages)[number];
export type DeviceStage = (typeof deviceStages)[number];
export type Stage = (typeof stages)[number];

export function isSourceStage(stage: Stage | undefined): stage is SourceStage {
  return (sourceStages as readonly (Stage | undefined)[]).includes(stage);
}

export function isGraphStage(stage: Stage | undefined): stage is GraphStage {
  return (graphStages as readonly (Stage | undefined)[]).includes(stage);
}
