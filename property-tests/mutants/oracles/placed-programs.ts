/**
 * Small programs that are placed by hand (`file: entry T=5,tp=2`), padded where the mesh does not divide them:
 * with the passes over collectives, all that these give being taken, they compute what one device does.
 */
import { type CollectiveOptions, exactOptions } from '../../../compiler/partition/collectives/options.ts';
import { localizeOptimized } from '../../../compiler/partition/collectives/passes.ts';
import { placeEvenly } from '../../../compiler/partition/even/place-evenly.ts';
import { runReference } from '../../../driver/run-reference.ts';
import { runReferenceOnMesh } from '../../../driver/run-reference-mesh.ts';
import { loweredOnMesh } from '../../named-program.ts';
import { distance } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';

const tolerance = 2e-5;
const choices: readonly CollectiveOptions[] = [exactOptions, { ...exactOptions, mergedBytes: 4096 }];

export const oracle: Oracle = {
  cases: [],
  check: (name) => {
    const { graph, options, inputs } = loweredOnMesh(name);
    const found = placeEvenly(graph, options);
    if (found.kind === 'misplaced') return found.faults[0]!.message;
    for (const collectives of choices) {
      const rejected: string[] = [];
      const device = localizeOptimized(found.placed, collectives, (...why) => rejected.push(why.join(': ')));
      if (rejected.length > 0) return `not taken: ${rejected[0]}`;
      const outputs = runReferenceOnMesh({ ...device, whole: found.whole }, inputs);
      const off = distance(runReference(graph, inputs), outputs);
      if (off > tolerance) return `${off} off`;
    }
    return undefined;
  },
};
