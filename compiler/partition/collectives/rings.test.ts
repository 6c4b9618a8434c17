/** Products in rings compute what the collectives do that they stand for, and send as much. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Algebra } from '../../graph/algebra.ts';
import { float32 } from '../../graph/float32.ts';
import type { Graph, Node } from '../../graph/graph.ts';
import { printGraph } from '../../graph/print.ts';
import { apply, integer, mapScalar } from '../../graph/scalar.ts';
import { allNodes, mapNodeScalars } from '../../graph/uses.ts';
import { optimize } from '../../optimize/passes.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import type { DeviceProgram } from '../localize.ts';
import { exactAlgebra } from '../random-partition.ts';
import { type CollectiveOptions, exactOptions, type RingCosts } from './options.ts';
import { optimizeDevice } from './passes.ts';
import { type ProductCase, randomProduct } from './random-products.ts';

const links = (bytesPerSecond: number) =>
  new Map(['a', 'b'].map((axis) => [axis, { bytesPerSecond, latencySeconds: 0 }]));

/** Moving and multiplying take long, and starting a kernel nothing. */
const alwaysPays: RingCosts = { links: links(1), flopsPerSecond: 1, launchSeconds: 0 };
/** All is over before another kernel has started. */
const neverPays: RingCosts = { links: links(1e15), flopsPerSecond: 1e15, launchSeconds: 1e-5 };
const inRings: CollectiveOptions = { ...exactOptions, reassociates: true, rings: alwaysPays };

const cases = fc
  .array(fc.noBias(fc.nat(2 ** 16)), { minLength: 120, maxLength: 200, size: 'max' })
  .map(randomProduct);

function run({ inputs }: ProductCase, device: DeviceProgram, algebra: Algebra<number>) {
  const { outputs, sent } = evaluateOnMesh(device, inputs, algebra);
  const { data } = outputs.get('out')!;
  return {
    values: Array.from({ length: data.length }, (_, at) => (data[at] as number) + 0),
    verbs: [...sent.keys()],
    bytes: [...sent.values()].reduce((sum, bytes) => sum + bytes, 0),
  };
}

/** Rows keep every bit; sums are in another order, which exact sums do not mind. */
function algebraOf({ form }: ProductCase): Algebra<number> {
  return form === 'rows' || form === 'columns' ? float32 : exactAlgebra();
}

test('a product in a ring is the same product, of as many bytes, by shifts alone', () => {
  fc.assert(
    fc.property(cases, (each) => {
      const ring = optimizeDevice(each.device, inRings);
      const algebra = algebraOf(each);
      const [wanted, found] = [run(each, each.device, algebra), run(each, ring, algebra)];
      expect(found.values, printGraph(ring.graph)).toEqual(wanted.values);
      expect(found.verbs, printGraph(ring.graph)).toEqual(['shift']);
      expect(found.bytes).toBeCloseTo(wanted.bytes, 6);
      const fast = { ...ring, graph: optimize(ring.graph) };
      expect(run(each, fast, algebra).values).toEqual(wanted.values);
    }),
    { numRuns: 60 },
  );
});

test('a ring is made only where it pays, and a sum taken in another order only where that is allowed', () => {
  for (const each of fc.sample(cases, { numRuns: 20, seed: 3 })) {
    const verbsOf = (options: CollectiveOptions) =>
      run(each, optimizeDevice(each.device, options), float32).verbs;
    expect(verbsOf({ ...inRings, rings: neverPays })).not.toContain('shift');
    expect(verbsOf(exactOptions)).not.toContain('shift');
    const isSummed = each.form === 'terms' || each.form === 'scattered';
    expect(verbsOf({ ...inRings, reassociates: false }).includes('shift')).toBe(!isSummed);
  }
});

const mutants: Readonly<Record<string, (node: Node) => Node>> = {
  'takes the block of another turn': (node) =>
    mapNodeScalars(node, (root) =>
      mapScalar(root, (scalar) => (scalar.op === 'counter' ? apply('add', scalar, integer(1)) : scalar)),
    ),
  'thinks that it is the first': (node) =>
    mapNodeScalars(node, (root) =>
      mapScalar(root, (scalar) => (scalar.op === 'coordinate' ? integer(0) : scalar)),
    ),
  'keeps its block': (node) => (node.kind === 'exchange' ? { ...node, verb: 'broadcast' } : node),
};

test.each(Object.entries(mutants))('a ring that %s is found out', (_, mutate) => {
  const onNodes = (graph: Graph): Graph => ({
    ...graph,
    nodes: graph.nodes.map((node) =>
      node.kind === 'loop' ? { ...node, body: onNodes(node.body) } : mutate(node),
    ),
  });
  const wrong = fc.sample(cases, { numRuns: 30, seed: 5 }).filter((each) => {
    const ring = optimizeDevice(each.device, inRings);
    expect(allNodes(ring.graph).some(({ kind }) => kind === 'loop')).toBe(true);
    const wanted = run(each, each.device, float32).values;
    try {
      const found = run(each, { ...ring, graph: onNodes(ring.graph) }, float32).values;
      return found.some((value, at) => Math.abs(value - wanted[at]!) > 1e-3);
    } catch {
      // Devices that should hold the same do not.
      return true;
    }
  });
  expect(wrong.length).toBeGreaterThan(10);
});
