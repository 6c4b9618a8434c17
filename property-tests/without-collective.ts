/** Programs that lack a collective: they have no place, or mean what they did. */
import type { Graph } from '../compiler/graph/graph.ts';
import { renameReads } from '../compiler/graph/uses.ts';
import { localize } from '../compiler/partition/localize.ts';
import { place } from '../compiler/partition/place.ts';
import { runReference } from '../driver/run-reference.ts';
import { runReferenceOnMesh } from '../driver/run-reference-mesh.ts';
import type { LoweredOnMesh } from './named-program.ts';
import { distance } from './run-entry.ts';

/** What is wrong when one of the collectives is left out, each in turn; undefined: nothing. */
export function faultWithoutCollective({ graph, options, inputs }: LoweredOnMesh): string | undefined {
  const wanted = runReference(graph, inputs);
  // Sums of bf16 are rounded once a device: one ulp.
  const tolerance = [...wanted.values()].some(({ dtype }) => dtype === 'bf16') ? 2 ** -7 : 2e-5;
  for (const lacking of withoutOne(graph)) {
    const found = place(lacking, { ...options, outputs: new Map() });
    if (found.kind === 'misplaced') continue;
    const off = distance(wanted, runReferenceOnMesh(localize(found.placed), inputs));
    if (off > tolerance) return `${off} off`;
  }
  return undefined;
}

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
