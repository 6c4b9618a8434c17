/**
 * Small programs that are placed (`file: entry T=6,tp=2`, with the devices along axes of the mesh): optimized,
 * they compute on a mesh of the evaluator what one device does.
 */
import { lower } from '../../../driver/lower.ts';
import { runReference } from '../../../driver/run-reference.ts';
import { runReferenceOnMesh } from '../../../driver/run-reference-mesh.ts';
import { namedOnMesh } from '../../named-program.ts';
import { distance } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';

const tolerance = 2e-5;

export const oracle: Oracle = {
  cases: [],
  check: (name) => {
    const { checked, entry, sizes, mesh, inputs } = namedOnMesh(name);
    const own = new Map([...sizes].filter(([size]) => !checked.program.axes.includes(size)));
    const alone = lower(checked, { entry, sizes: own, inputDtypes: new Map() });
    const placed = lower(checked, { entry, sizes, inputDtypes: new Map(), mesh });
    if (alone.kind === 'rejected' || placed.kind === 'rejected') return 'is rejected';
    const off = distance(
      runReference(alone.graph, inputs),
      runReferenceOnMesh({ ...placed.device!, graph: placed.optimized }, inputs),
    );
    return off > tolerance ? `${off} off` : undefined;
  },
};
