import fc from 'fast-check';
import { expect, test } from 'vitest';
import { float32 } from '../../graph/float32.ts';
import type { ComputeNode, Graph, Node, Scalar } from '../../graph/graph.ts';
import { type RandomProgram, randomPrograms } from '../../graph/random-graph.ts';
import { loadsOf, mapScalar, subexpressions } from '../../graph/scalar.ts';
import { allNodes, allTensors, nodeScalars } from '../../graph/uses.ts';
import { optimize } from '../../optimize/passes.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import { localize } from '../localize.ts';
import { place } from '../place.ts';
import { padding } from '../random-partition.ts';
import {
  difference,
  fault,
  isFaulty,
  layouts,
  type Partitioned,
  partition,
  shown,
} from '../random-programs.ts';

/** Most of them cannot be cut evenly. */
const sizes = [3, 5, 1, 2, 7, 4, 0];

test('a padded program computes what the whole one does', () => {
  fc.assert(
    fc.property(randomPrograms(sizes), layouts, (program, layout) => {
      const partitioned = partition(program, layout, padding);
      if (partitioned === undefined) return;
      const found = fault(partitioned);
      if (found !== 'not exact') expect(found, shown(partitioned)).toBeUndefined();
    }),
    { numRuns: 50 },
  );
});

test('the optimizer keeps what padded devices compute together', () => {
  fc.assert(
    fc.property(randomPrograms(sizes), layouts, (program, layout) => {
      const partitioned = partition(program, layout, padding);
      if (partitioned === undefined) return;
      const { device, blocks } = partitioned;
      const faster = { ...device, graph: optimize(device.graph) };
      const wanted = evaluateOnMesh(device, blocks, float32).outputs;
      const found = evaluateOnMesh(faster, blocks, float32).outputs;
      expect(difference(wanted, found), shown({ ...partitioned, device: faster })).toBeUndefined();
    }),
    { numRuns: 25 },
  );
});

// ── the tests themselves ───────────────────────────────────────────────────────────────────────────────────

const drawn = fc.sample(fc.tuple(randomPrograms(sizes), layouts), { numRuns: 1000, seed: 4 });
/** Products, and places of the greatest, are rare. */
const isRare = ({ graph }: RandomProgram): boolean =>
  allNodes(graph).some((node) => reducesBy(node, 'prod', 'argmax', 'argmin'));
const sampled = [...drawn.slice(0, 200), ...drawn.slice(200).filter(([program]) => isRare(program))].flatMap(
  ([program, layout]) => partition(program, layout, padding) ?? [],
);

type Choice = Extract<Scalar, { readonly op: 'apply' }>;

/** `if i < n then … else …` */
function isMask(scalar: Scalar): scalar is Choice {
  if (scalar.op !== 'apply' || scalar.function !== 'select') return false;
  const parts = subexpressions(scalar.operands[0]!);
  const isBound = (part: Scalar) =>
    part.op === 'apply' &&
    part.function === 'lt' &&
    part.operands[0]!.op === 'iterator' &&
    part.operands[1]!.op === 'constant';
  const isAnd = (part: Scalar) => part.op === 'apply' && part.function === 'and';
  return (
    parts.some(isBound) &&
    parts.every((part) => isBound(part) || isAnd(part) || ['iterator', 'constant'].includes(part.op))
  );
}

/** A load that is not made where its subscripts would be out of range. */
function isGuard(scalar: Scalar): scalar is Choice {
  return isMask(scalar) && scalar.operands[1]!.op === 'load';
}

function reducesBy(node: Node, ...combiners: readonly string[]): node is ComputeNode {
  return node.kind === 'compute' && node.reduce !== undefined && combiners.includes(node.reduce.combiner);
}

/** What of padding is in the program. */
function features({ placed, device }: Partitioned): readonly string[] {
  const found: string[] = [];
  const { inputs, outputs } = device.whole!;
  if (inputs.size > 0) found.push('padded input');
  if (outputs.size > 0) found.push('padded output');
  const tensors = allTensors(placed.graph);
  const extents = (group: 'inputs' | 'outputs') =>
    [...device.whole![group]].map(([path, whole]) => {
      const { tensor } = placed.graph[group].find((each) => each.path === path)!;
      return { whole, padded: (typeof tensor === 'number' ? tensors.get(tensor)! : tensor).shape };
    });
  const isMuch = (whole: number, padded: number) => padded >= 2 * whole;
  const much = [...extents('inputs'), ...extents('outputs')].some(({ whole, padded }) =>
    whole.some((extent, dim) => isMuch(extent, padded[dim]!) && padded[dim] !== extent),
  );
  if (much) found.push('devices with padding only');
  for (const node of allNodes(placed.graph)) {
    const parts = nodeScalars(node).flatMap(subexpressions);
    if (parts.some(isGuard)) found.push('guarded load');
    if (node.kind === 'loop') found.push('loop');
    if (node.kind === 'compute' && node.reduce !== undefined && subexpressions(node.body).some(isMask))
      found.push(`masked ${node.reduce.combiner}`);
    if (withPadding(node, tensors) !== node)
      found.push(`${(node as ComputeNode).reduce?.combiner} of a part`);
  }
  return found;
}

/** At least so many of 200 programs must have these. */
const wantedFeatures: Readonly<Record<string, number>> = {
  'padded input': 100,
  'padded output': 75,
  'devices with padding only': 25,
  'guarded load': 15,
  loop: 25,
  'masked sum': 5,
  'argmax of a part': 1,
  'prod of a part': 1,
};

test('random programs have what there is to get wrong', () => {
  expect(sampled.length).toBeGreaterThan(180);
  const counts = new Map<string, number>();
  for (const partitioned of sampled)
    for (const feature of new Set(features(partitioned))) counts.set(feature, (counts.get(feature) ?? 0) + 1);
  for (const [feature, times] of Object.entries(wantedFeatures))
    expect(counts.get(feature) ?? 0, feature).toBeGreaterThanOrEqual(times);
});

/** The reduction run over the padding too of what it reads by its iterators alone. */
function withPadding(node: Node, tensors: ReturnType<typeof allTensors>): Node {
  if (node.kind !== 'compute' || node.reduce === undefined) return node;
  const { reduce, result } = node;
  const extents = reduce.extents.map((extent, position) => {
    const axis = result.shape.length + position;
    const read = loadsOf(node.body).flatMap(({ tensor, subscripts }) =>
      subscripts.flatMap((subscript, dim) =>
        subscript.op === 'iterator' && subscript.axis === axis ? [tensors.get(tensor)!.shape[dim]!] : [],
      ),
    );
    return read.length === 0 ? extent : Math.max(extent, Math.min(...read));
  });
  return `${extents}` === `${reduce.extents}` ? node : { ...node, reduce: { ...reduce, extents } };
}

type Mutate = (node: Node, tensors: ReturnType<typeof allTensors>) => Node;

function onBodies(isMutated: (node: Node) => boolean, change: (scalar: Scalar) => Scalar): Mutate {
  return (node) => {
    if (node.kind !== 'compute' || !isMutated(node)) return node;
    const body = mapScalar(node.body, change);
    return body === node.body ? node : { ...node, body };
  };
}

const withoutMask = (scalar: Scalar): Scalar => (isMask(scalar) ? scalar.operands[1]! : scalar);

/** Of the padded program of the whole mesh. */
const mutants: { readonly [name: string]: Mutate } = {
  'sums padding': onBodies((node) => reducesBy(node, 'sum'), withoutMask),
  'reads out of range': onBodies(
    (node) => node.kind === 'compute' && node.reduce === undefined,
    (scalar) => (isGuard(scalar) ? scalar.operands[1]! : scalar),
  ),
  'finds the greatest in padding': (node, tensors) =>
    reducesBy(node, 'argmax', 'argmin') ? withPadding(node, tensors) : node,
  'multiplies padding': (node, tensors) => (reducesBy(node, 'prod') ? withPadding(node, tensors) : node),
};

function mutated(partitioned: Partitioned, mutate: Mutate): Partitioned | undefined {
  const { placed, device } = partitioned;
  const tensors = allTensors(placed.graph);
  let changes = 0;
  const run = (graph: Graph): Graph => ({
    ...graph,
    nodes: graph.nodes.map((node): Node => {
      if (node.kind === 'loop') return { ...node, body: run(node.body) };
      const changed = mutate(node, tensors);
      if (changed !== node) changes++;
      return changed;
    }),
  });
  const result = place(run(placed.graph), device);
  if (changes === 0 || result.kind === 'misplaced') return undefined;
  return { ...partitioned, device: { ...localize(result.placed), whole: device.whole! } };
}

test.each(Object.entries(mutants))('a program that %s is found out', (_, mutate) => {
  const wrong = sampled.filter((partitioned) => {
    const mutant = mutated(partitioned, mutate);
    return mutant !== undefined && isFaulty(mutant);
  });
  expect(wrong.length).toBeGreaterThan(0);
});

test('outputs that are not trimmed are found out', () => {
  const untrimmed = sampled.filter((partitioned) => {
    const whole = { ...partitioned.device.whole!, outputs: new Map() };
    return isFaulty({ ...partitioned, device: { ...partitioned.device, whole } });
  });
  expect(untrimmed.length).toBeGreaterThan(0);
});
