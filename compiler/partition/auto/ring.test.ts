/** When the partitioner takes a ring: where keys and values of all are too much for a device. */
import { expect, test } from 'vitest';
import type { Mesh } from '../../../dsl/placement/placement.ts';
import { peakLiveBytes } from '../../graph/cost.ts';
import type { Graph } from '../../graph/graph.ts';
import { allNodes } from '../../graph/uses.ts';
import { entryWishes } from '../../lower/entry-placements.ts';
import { lowerEntry } from '../../lower/lower-entry.ts';
import { checkText } from '../../lower/testing.ts';
import { optimize } from '../../optimize/passes.ts';
import { localize } from '../localize.ts';
import { meshOf } from '../testing.ts';
import { autoPlace } from './auto-place.ts';
import { type CostModel, defaultCostModel } from './cost-model.ts';

const text = `import attention
mesh (sp, tp)
export auto fn f(q: f32[S@sp, H, A], k: f32[S@sp, 1, A], v: f32[S@sp, 1, A]) -> f32[S@sp, H, A] =
  attention.causal(q, k, v)`;

function deviceProgram(mesh: Mesh, costs: Partial<CostModel>): Graph {
  const program = checkText(text);
  const sizes = new Map(Object.entries({ S: 256, A: 16, H: 1}));
  const lowered = lowerEntry(program, 'f', { sizes, inputDtypes: new Map() });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  const wishes = entryWishes(program, 'f', 'any');
  const found = autoPlace(lowered.graph, { mesh, ...wishes, costs: { ...defaultCostModel, ...costs } });
  if (found.kind !== 'placed') throw new Error(found.kind + JSON.stringify(found));
  return optimize(localize(found.placed).graph);
}
const verbs = (graph: Graph) => allNodes(graph).flatMap((node) => (node.kind === 'exchange' ? [node.verb] : []));

test('x', () => {
  for (const memoryBytes of [1e9, 36000,30000, 25000, 20000])
    try {
      const g = deviceProgram(meshOf({ sp: 16 }), { memoryBytes });
      console.log(memoryBytes, verbs(g), peakLiveBytes(g));
    } catch (e) { console.log(memoryBytes, String(e)); }
});
