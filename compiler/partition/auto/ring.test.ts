/** When the partitioner takes a ring, and what it reckons that one costs. */
import { expect, test } from 'vitest';
import type { Mesh } from '../../../dsl/placement/placement.ts';
import type { TensorValue } from '../../graph/algebra.ts';
import { peakLiveBytes } from '../../graph/cost.ts';
import { evaluateGraph } from '../../graph/evaluate.ts';
import { float64 } from '../../graph/float64.ts';
import type { Graph } from '../../graph/graph.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { threefry2x32 } from '../../graph/threefry.ts';
import { allNodes } from '../../graph/uses.ts';
import { entryPlacements, entryWishes } from '../../lower/entry-placements.ts';
import { lowerEntry } from '../../lower/lower-entry.ts';
import { checkText, expectClose } from '../../lower/testing.ts';
import { optimize } from '../../optimize/passes.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import { type DeviceProgram, localize } from '../localize.ts';
import { ringOver } from '../ring/ring-over.ts';
import { meshOf } from '../testing.ts';
import { type AutoResult, autoPlace } from './auto-place.ts';
import { type CostModel, defaultCostModel } from './cost-model.ts';
import { movementSeconds } from './movement-seconds.ts';
import { networkOf } from './network.ts';
import { searcher } from './search.ts';

const program = checkText(`import attention
mesh (sp, tp)
export auto fn f(q: f32[S@sp, G * R, A], k: f32[S@sp, G, A], v: f32[S@sp, G, A]) -> f32[S@sp, G * R, A] =
  attention.causal(q, k, v)`);

function graphOf(sizes: Readonly<Record<string, number>>): Graph {
  const options = { sizes: new Map(Object.entries(sizes)), inputDtypes: new Map() };
  const lowered = lowerEntry(program, 'f', options);
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  return lowered.graph;
}

function placed(graph: Graph, mesh: Mesh, costs: Partial<CostModel>) {
  const wishes = entryWishes(program, 'f', 'any');
  const found: AutoResult = autoPlace(graph, { mesh, ...wishes, costs: { ...defaultCostModel, ...costs } });
  if (found.kind !== 'placed') throw new Error(found.kind);
  return localize(found.placed);
}

const verbsOf = (graph: Graph): ReadonlySet<string> =>
  new Set(allNodes(graph).flatMap((node) => (node.kind === 'exchange' ? [node.verb] : [])));

const values = ({ data, shape }: TensorValue<number>) => ({ data: Array.from(data), shape });

/** The devices compute what the graph means. */
function expectSame(graph: Graph, device: DeviceProgram): void {
  const inputs = new Map(
    graph.inputs.map(({ path, tensor }) => {
      const data = Float64Array.from({ length: elementCount(tensor) }, (_, at) => {
        return ((threefry2x32(7, tensor.id, at, 0)[0] % 33) - 16) / 8;
      });
      return [path, { dtype: tensor.dtype, shape: tensor.shape, data }];
    }),
  );
  const ids = new Map(graph.inputs.map(({ path, tensor }) => [tensor.id, inputs.get(path)!]));
  const wanted = evaluateGraph(graph, ids, float64).get('out')!;
  const found = evaluateOnMesh(device, inputs, float64).outputs.get('out')!;
  expectClose(values(found), values(wanted));
}

/** One head, which no axis divides. */
const sizes = { S: 128, G: 1, R: 1, A: 16 };
const wholeBytes = 4 * sizes.S * sizes.A;

test('with room enough keys and values are gathered, and a ring is taken where they are too much', () => {
  const graph = graphOf(sizes);
  const mesh = meshOf({ sp: 16 });
  const gathered = placed(graph, mesh, {});
  expect([...verbsOf(gathered.graph)]).toEqual(['all_gather']);
  expect(peakLiveBytes(optimize(gathered.graph))).toBeGreaterThan(2 * wholeBytes);
  const memoryBytes = 1.5 * wholeBytes;
  const ring = placed(graph, mesh, { memoryBytes });
  expect([...verbsOf(ring.graph)]).toEqual(['shift']);
  expect(peakLiveBytes(optimize(ring.graph))).toBeLessThan(memoryBytes);
});

test('a ring along one axis goes with heads along another, and computes the same', () => {
  const graph = graphOf({ S: 32, G: 2, R: 1, A: 16 });
  const mesh = meshOf({ sp: 16, tp: 2 });
  const device = placed(graph, mesh, { memoryBytes: 3000 });
  expect([...verbsOf(device.graph)]).toEqual(['shift']);
  expectSame(graph, device);
});

test('what is divided by heads before is moved to where a ring takes it', () => {
  const graph = graphOf({ S: 8, G: 4, R: 1, A: 4 });
  const mesh = meshOf({ sp: 4 });
  const byHeads = { dims: [[], ['sp'], []], pending: new Map() };
  const wishes = new Map(['q', 'k', 'v'].map((path) => [path, byHeads]));
  const found = autoPlace(ringOver(graph, 'sp', mesh), { mesh, inputs: wishes, outputs: new Map() });
  if (found.kind !== 'placed') throw new Error(found.kind);
  expectSame(graph, localize(found.placed));
});

test('a ring costs what its turns send', () => {
  const devices = 4;
  const mesh = meshOf({ sp: devices });
  const link = { bytesPerSecond: 1e6, latencySeconds: 1e-3 };
  const costs: CostModel = { ...defaultCostModel, flopsPerSecond: 1e30, bytesPerSecond: 1e30, link };
  const ring = ringOver(graphOf(sizes), 'sp', mesh);
  const { inputs, outputs } = entryPlacements(program, 'f');
  const solution = searcher(
    networkOf(ring, { mesh, costs, uneven: false, byHand: new Map(), inputs, outputs }),
    movementSeconds(mesh, costs),
  )(1e-18)!;
  const shift = link.latencySeconds + wholeBytes / devices / link.bytesPerSecond;
  expect(solution.seconds).toBeCloseTo((devices - 1) * 2 * shift, 9);
});
