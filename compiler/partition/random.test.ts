import fc from 'fast-check';
import { expect, test } from 'vitest';
import { float32 } from '../graph/float32.ts';
import type { ExchangeNode, Graph, Node, Scalar } from '../graph/graph.ts';
import { randomPrograms } from '../graph/random-graph.ts';
import { apply, integer, mapScalar, subexpressions } from '../graph/scalar.ts';
import { allNodes, mapNodeScalars, nodeScalars } from '../graph/uses.ts';
import { optimize } from '../optimize/passes.ts';
import { evaluateOnMesh } from './evaluate-mesh.ts';
import {
  difference,
  fault,
  isFaulty,
  layouts,
  type Partitioned,
  partition,
  predictedBytes,
  sentBytes,
  shown,
} from './random-programs.ts';

/** Most of them can be cut in several ways. */
const sizes = [4, 2, 6, 12, 3, 4, 1, 2, 0];

/** What of the language of meshes is in the program. */
function features({ placed, device }: Partitioned): readonly string[] {
  const found: string[] = [];
  const computed = [...placed.local.keys()].map((tensor) => placed.placements.get(tensor)!);
  if (computed.some(({ dims }) => dims.some((list) => list.length > 0))) found.push('cut');
  if (computed.some(({ dims }) => dims.some((list) => list.length > 1))) found.push('cut by two axes');
  const isFree = allNodes(placed.graph).every(({ kind }) => kind !== 'collective');
  if (isFree && found.includes('cut')) found.push('cut without collectives');
  for (const { pending } of computed)
    found.push(...[...pending.values()].map((combiner) => `pending ${combiner}`));
  for (const node of allNodes(device.graph)) {
    if (node.kind === 'exchange') found.push(node.verb, `${node.combiner} exchanged`);
    const cutLoop =
      node.kind === 'loop' &&
      node.results.some(({ id }) => placed.placements.get(id)!.dims.flat().length > 0);
    if (cutLoop) found.push('loop over blocks');
    const parts = nodeScalars(node).flatMap(subexpressions);
    if (parts.some(isMask)) found.push('mask');
    if (parts.some(isLookup)) found.push('look-up in a cut dimension');
  }
  return found;
}

type Choice = Scalar & { readonly op: 'apply' };

function chooses(scalar: Scalar): scalar is Choice {
  return scalar.op === 'apply' && scalar.function === 'select' && scalar.operands[0]!.op === 'apply';
}

/** `if @a == 0 then x else 0` */
function isMask(scalar: Scalar): boolean {
  if (!chooses(scalar)) return false;
  const tests = subexpressions(scalar.operands[0]!);
  return (
    tests.some(isFirstTest) &&
    tests.every((part) => isFirstTest(part) || ['coordinate', 'constant'].includes(part.op) || isAnd(part))
  );
}

function isFirstTest(scalar: Scalar): boolean {
  return scalar.op === 'apply' && scalar.function === 'eq' && scalar.operands[0]!.op === 'coordinate';
}

function isAnd(scalar: Scalar): boolean {
  return scalar.op === 'apply' && scalar.function === 'and';
}

/** `if 0 <= i and i < block then x[i] else 0`, the block's start in `i` */
function isLookup(scalar: Scalar): boolean {
  return (
    chooses(scalar) &&
    scalar.operands[1]!.op === 'load' &&
    subexpressions(scalar.operands[0]!).some((part) => part.op === 'coordinate') &&
    !isMask(scalar)
  );
}

test('a partitioned program computes what the whole one does', () => {
  fc.assert(
    fc.property(randomPrograms(sizes), layouts, (program, layout) => {
      const partitioned = partition(program, layout);
      if (partitioned === undefined) return;
      const found = fault(partitioned);
      if (found === 'not exact') return;
      expect(sentBytes(partitioned), shown(partitioned)).toBe(predictedBytes(partitioned.placed));
      expect(found, shown(partitioned)).toBeUndefined();
    }),
    { numRuns: 50 },
  );
});

test('the optimizer keeps what devices compute together', () => {
  fc.assert(
    fc.property(randomPrograms(sizes), layouts, (program, layout) => {
      const partitioned = partition(program, layout);
      if (partitioned === undefined) return;
      const { device, blocks } = partitioned;
      const faster = { ...device, graph: optimize(device.graph) };
      const wanted = evaluateOnMesh(device, blocks, float32).outputs;
      const found = evaluateOnMesh(faster, blocks, float32).outputs;
      expect(difference(wanted, found), shown({ ...partitioned, device: faster })).toBeUndefined();
    }),
    { numRuns: 30 },
  );
});

// ── the tests themselves ───────────────────────────────────────────────────────────────────────────────────

const sampled = fc
  .sample(fc.tuple(randomPrograms(sizes), layouts), { numRuns: 200, seed: 4 })
  .flatMap(([program, layout]) => partition(program, layout) ?? []);

/** At least so many of 200 programs must have these. */
const wantedFeatures: Readonly<Record<string, number>> = {
  cut: 25,
  'cut by two axes': 2,
  'cut without collectives': 3,
  'pending sum': 15,
  'pending max': 1,
  mask: 3,
  'look-up in a cut dimension': 10,
  'loop over blocks': 20,
  all_gather: 60,
  all_reduce: 40,
  reduce_scatter: 10,
  all_to_all: 20,
  'min exchanged': 5,
};

test('random programs have what there is to get wrong', () => {
  expect(sampled.length).toBeGreaterThan(180);
  const counts = new Map<string, number>();
  for (const partitioned of sampled)
    for (const feature of new Set(features(partitioned))) counts.set(feature, (counts.get(feature) ?? 0) + 1);
  for (const [feature, times] of Object.entries(wantedFeatures))
    expect(counts.get(feature) ?? 0, feature).toBeGreaterThanOrEqual(times);
});

function onNodes(change: (node: Node) => Node): (graph: Graph) => Graph {
  const run = (graph: Graph): Graph => ({
    ...graph,
    nodes: graph.nodes.map((node) =>
      node.kind === 'loop' ? { ...node, body: run(node.body) } : change(node),
    ),
  });
  return run;
}

function onScalars(change: (scalar: Scalar) => Scalar): (graph: Graph) => Graph {
  return onNodes((node) => mapNodeScalars(node, (scalar) => mapScalar(scalar, change)));
}

function onExchanges(change: (node: ExchangeNode) => Node): (graph: Graph) => Graph {
  return onNodes((node) => (node.kind === 'exchange' ? change(node) : node));
}

const mutants: { readonly [name: string]: (graph: Graph) => Graph } = {
  'masks nothing': onScalars((scalar) => (isMask(scalar) ? (scalar as Choice).operands[1]! : scalar)),
  'masks the first device instead of the others': onScalars((scalar) =>
    isMask(scalar)
      ? apply(
          'select',
          ...((scalar as Choice).operands.toSpliced(
            1,
            2,
            ...(scalar as Choice).operands.slice(1).reverse(),
          ) as [Scalar, Scalar, Scalar]),
        )
      : scalar,
  ),
  'looks up what it has at another place': onScalars((scalar) =>
    isLookup(scalar) ? (scalar as Choice).operands[1]! : scalar,
  ),
  'starts blocks at the other end': onScalars((scalar) =>
    scalar.op === 'coordinate' ? apply('sub', integer(scalar.devices - 1), scalar) : scalar,
  ),
  'does not know where its block starts': onScalars((scalar) =>
    scalar.op === 'coordinate' ? integer(0) : scalar,
  ),
  'ranks a group by its digits in the wrong order': onExchanges((node) => ({
    ...node,
    axes: node.axes.toReversed(),
  })),
  'takes a sum for a maximum': onExchanges((node) => ({ ...node, combiner: 'max' })),
  'takes all for a sum': onExchanges((node) => ({ ...node, combiner: 'sum' })),
  'forgets to combine': onExchanges((node) =>
    node.verb === 'all_reduce'
      ? {
          kind: 'collective',
          source: node.source,
          result: node.result,
          change: { kind: 'all_reduce', axes: [] },
        }
      : node,
  ),
};

test.each(Object.entries(mutants))('a device that %s is found out', (_, mutate) => {
  const wrong = sampled.filter((partitioned) => {
    const device = { ...partitioned.device, graph: mutate(partitioned.device.graph) };
    return isFaulty({ ...partitioned, device });
  });
  expect(wrong.length).toBeGreaterThan(0);
});

test('what is pending at the end is combined', () => {
  const forgotten = sampled.filter((partitioned) => {
    const outputs = new Map(
      [...partitioned.device.outputs].map(([path, { dims }]) => [path, { dims, pending: new Map() }]),
    );
    return isFaulty({ ...partitioned, device: { ...partitioned.device, outputs } });
  });
  expect(forgotten.length).toBeGreaterThan(0);
});
