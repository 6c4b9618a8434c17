/** All planted faults, by what they are of. Those of rewrite rules are made of the rules' own data. */
import { boundedMutants } from './bounded.ts';
import { collectiveMutants } from './collectives.ts';
import { emulatorMutants } from './emulator.ts';
import { helperMutants, reductionMutants, scheduleMutants, tileMutants, wgslMutants } from './kernels.ts';
import type { Mutant } from './mutant.ts';
import { optimizerMutants } from './optimizer.ts';
import { partitionerMutants } from './partitioner.ts';
import { allowedMutants, cudaMutants, ptxMutants, unitGraphMutants, unitMutants } from './ptx.ts';
import { bestPlaceMutants, clusterMutants, mergedMutants, rowMutants } from './rows.ts';
import { combineMutants, verbMutants } from './verbs.ts';
import { choiceMutants, formulaMutants, panelMutants, wasmMutants, writingMutants } from './wasm.ts';

/** Of each member of a set its mutants, or the member that is the same. */
export type MutantSets = {
  readonly [set: string]: { readonly [member: string]: readonly Mutant[] | string };
};

/** From graph to graph. */
export const graphMutants: MutantSets = {
  'passes of the optimizer': optimizerMutants,
  'passes over collectives': collectiveMutants,
  'stages of the partitioner': partitionerMutants,
};

/** From graph to kernels, and in what runs them. */
export const kernelMutants: MutantSets = {
  verbs: Object.fromEntries(
    Object.entries(verbMutants).map(([verb, ways]) => [verb, Object.values(ways).flat()]),
  ),
  'how verbs combine': combineMutants,
  schedules: { ...scheduleMutants, ...panelMutants, ...rowMutants },
  choices: choiceMutants,
  'tile programs': { ...tileMutants, ...clusterMutants, ...mergedMutants },
  'tile programs for matrix units': unitGraphMutants,
  'writers of WGSL': wgslMutants,
  'writers of WebAssembly': wasmMutants,
  'writers of PTX': ptxMutants,
  'running PTX': cudaMutants,
  'schedules for matrix units': unitMutants,
  'what matrix units may round': allowedMutants,
  'the emulator of PTX': emulatorMutants,
  formulas: formulaMutants,
  'what writers share': writingMutants,
  'bounded sizes': boundedMutants,
  'at the ends of ranges': {
    'helpers.ts': helperMutants,
    'accumulate.ts': reductionMutants,
    'best-places.ts': bestPlaceMutants,
  },
};

export function mutantsOf(sets: MutantSets): readonly Mutant[] {
  return Object.values(sets).flatMap((members) =>
    Object.values(members).flatMap((mutants) => (typeof mutants === 'string' ? [] : mutants)),
  );
}
