/**
 * Small programs that are placed by hand (`file: entry T=6,tp=2`) and lack one of their collectives: they have no
 * place, or compute what they did.
 */
import type { Graph } from '../../../compiler/graph/graph.ts';
import { renameReads } from '../../../compiler/graph/uses.ts';
import { localize } from '../../../compiler/partition/localize.ts';
import { place } from '../../../compiler/partition/place.ts';
import { runReference } from '../../../driver/run-reference.ts';
import { runReferenceOnMesh } from '../../../driver/run-reference-mesh.ts';
import { distance } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';
import { loweredOnMesh } from '../named-program.ts';

const tolerance = 2e-5;

export const oracle: Oracle = {
  cases: [],
  check: (name) => {
    const { graph, options, inputs } = loweredOnMesh(name);
    for (const lacking of withoutOne(graph)) {
      const found = place(lacking, { ...options, outputs: new Map() });
      if (found.kind === 'misplaced') continue;
      const outputs = runReferenceOnMesh(localize(found.placed), inputs);
      const off = distance(runReference(graph, inputs), outputs);
      if (off > tolerance) return `${off} off`;
    }
    return undefined;
  },
};

/** What read the collective reads what it moved: to one device it is the same. */
function withoutOne(graph: Graph): readonly Graph[] {
  return graph.nodes.flatMap((node) => {
    if (node.kind !== 'collective') return [];
    const read = (tensor: number) => (tensor === node.result.id ? node.source : tensor);
    return [
      {
        ...graph,
        nodes: graph.nodes.filter((each) => each !== node).map((each) => renameReads(each, read)),
        outputs: graph.outputs.map(({ path, tensor }) => ({ path, tensor: read(tensor) })),
      },
    ];
  });
}
