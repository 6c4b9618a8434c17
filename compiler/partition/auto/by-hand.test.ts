/**
 * Random programs that are placed by hand, a part of each left to the partitioner: what is around it lives as it
 * did, and all devices together compute what one does.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Placement, samePlacement } from '../../../dsl/placement/placement.ts';
import { type Choose, choicesOf, pick } from '../../graph/choice-tape.ts';
import { float64 } from '../../graph/float64.ts';
import {
  type CollectiveNode,
  type Graph,
  type Node,
  results,
  type Tensor,
  type TensorId,
} from '../../graph/graph.ts';
import { randomPrograms } from '../../graph/random-graph.ts';
import { allNodes, allTensors, readsOf, renameReads } from '../../graph/uses.ts';
import type { AutoRegion } from '../../lower/auto-region.ts';
import { resized } from '../evaluate-mesh.ts';
import { localize } from '../localize.ts';
import type { PlacedGraph } from '../place.ts';
import { scatter } from '../random-partition.ts';
import { fault, layouts, type Partitioned, partition, shown } from '../random-programs.ts';
import { autoPlace } from './auto-place.ts';
import { placeByHand } from './by-hand.ts';
import { defaultCostModel } from './cost-model.ts';

/** Most of them come apart in several ways. */
const sizes = [4, 2, 6, 12, 3, 4, 1, 2, 0];

/** One is as good as another. */
const seeds = fc.noShrink(fc.noBias(fc.nat()));

interface PartlyAutomatic {
  readonly graph: Graph;
  readonly region: AutoRegion;
}

/** Some of the nodes that follow one another, as if an `auto fn` had made them of what they read. */
function withRegion({ graph, placements }: PlacedGraph, choose: Choose): PartlyAutomatic {
  const tensors = allTensors(graph);
  let nextId = Math.max(-1, ...tensors.keys()) + 1;
  const first = choose(graph.nodes.length);
  const last = first + 1 + choose(graph.nodes.length - first);
  const nodes = graph.nodes.slice(first, last);
  const made = new Set(nodes.flatMap(results).map(({ id }) => id));
  const read = new Set(nodes.flatMap((node) => [...readsOf(node)]).filter((id) => !made.has(id)));
  const after = graph.nodes.slice(last);
  const wanted = new Set([
    ...after.flatMap((node) => [...readsOf(node)]),
    ...graph.outputs.map(({ tensor }) => tensor),
  ]);
  const declared = (source: TensorId): CollectiveNode => {
    const { dims, pending } = placements.get(source)!;
    const result: Tensor = { ...tensors.get(source)!, id: nextId++ };
    return { kind: 'collective', source, result, change: { kind: 'declare', first: 0, dims, pending } };
  };
  const entries = new Map([...read].map((id) => [id, declared(id)]));
  const exits = new Map([...made].filter((id) => wanted.has(id)).map((id) => [id, declared(id)]));
  const into = (id: TensorId): TensorId => entries.get(id)?.result.id ?? id;
  const outOf = (id: TensorId): TensorId => exits.get(id)?.result.id ?? id;
  const inside = nodes.map((node) => renameReads(unmoved(node), into));
  const whole: Graph = {
    ...graph,
    nodes: [
      ...graph.nodes.slice(0, first),
      ...entries.values(),
      ...inside,
      ...exits.values(),
      ...after.map((node) => renameReads(node, outOf)),
    ],
    outputs: graph.outputs.map(({ path, tensor }) => ({ path, tensor: outOf(tensor) })),
  };
  const border = (each: ReadonlyMap<TensorId, CollectiveNode>) =>
    [...each.values()].map(({ result }) => ({ tensor: result.id, leading: [] }));
  const all = allTensors({ ...graph, inputs: [], nodes: [...inside, ...exits.values()] });
  return {
    graph: whole,
    region: { arguments: border(entries), results: border(exits), inside: new Set(all.keys()) },
  };
}

/** In the part that is left to the partitioner nothing is said of what moves. */
function unmoved(node: Node): Node {
  if (node.kind === 'loop') return { ...node, body: { ...node.body, nodes: node.body.nodes.map(unmoved) } };
  if (node.kind !== 'collective') return node;
  return { ...node, change: { kind: 'declare', first: 0, dims: [], pending: undefined } };
}

interface Made extends Partitioned {
  readonly byHand: ReadonlyMap<TensorId, Placement>;
}

/**
 * @param kept what the search is told of it
 * @returns undefined: nothing to leave to the partitioner
 */
function partlyAutomatic(
  written: Partitioned,
  seed: number,
  kept: (byHand: Made['byHand']) => Made['byHand'] = (byHand) => byHand,
): Made | undefined {
  const { program, placed: before, device: given } = written;
  if (before.graph.nodes.length === 0) return undefined;
  const choose = choicesOf(seed)('region');
  const { mesh, outputs } = before;
  const { graph, region } = withRegion(before, choose);
  const options = { mesh, inputs: given.inputs, outputs };
  const around = placeByHand(graph, [region], options);
  if (around.kind === 'misplaced') throw new Error(JSON.stringify(around.faults[0]));
  const byHand = around.placed.placements;
  for (const [id, placement] of byHand) {
    const own = before.placements.get(id);
    if (own !== undefined) expect(samePlacement(placement, own), `tensor ${id}`).toBe(true);
  }
  const flopsPerSecond = pick(choose, [1, 1e3, 1e14]);
  const found = autoPlace(graph, {
    ...options,
    byHand: kept(byHand),
    costs: { ...defaultCostModel, flopsPerSecond },
  });
  if (found.kind !== 'placed') throw new Error(found.kind);
  const { placed, whole } = found;
  const device = { ...localize(placed), whole };
  const blocks = placed.graph.inputs.map(({ path, tensor }, position) => {
    const value = resized(program.inputs.get(tensor.id)!, tensor.shape, float64);
    return [path, scatter(value, device.inputs.get(path)!, mesh, position)] as const;
  });
  return { program, placed, device, blocks: new Map(blocks), byHand };
}

/** The first tensor that is not where it was, in the part that is placed by hand. */
function displaced({ byHand, placed }: Made): TensorId | undefined {
  const found = [...byHand].find(([id, own]) => !samePlacement(placed.placements.get(id)!, own));
  return found?.[0];
}

test('what is around a part that the partitioner places lives as it did, and all computes the same', () => {
  let told = 0;
  let inserted = 0;
  fc.assert(
    fc.property(randomPrograms(sizes), layouts, seeds, (program, layout, seed) => {
      const written = partition(program, layout);
      const made = written && partlyAutomatic(written, seed);
      if (written === undefined || made === undefined) return;
      expect(displaced(made), shown(made)).toBe(undefined);
      for (const [path, placement] of written.placed.outputs)
        expect(made.placed.outputs.get(path), path).toEqual(placement);
      const found = fault(made);
      if (found === 'not exact') return;
      told++;
      const isReshard = (node: Node) => node.kind === 'collective' && node.change.kind === 'reshard';
      inserted += allNodes(made.placed.graph).filter(isReshard).length;
      expect(found, shown(made)).toBe(undefined);
    }),
    { numRuns: 100, endOnFailure: true },
  );
  expect(told).toBeGreaterThan(30);
  expect(inserted).toBeGreaterThan(20);
});

test('a search that may place what is placed by hand is noticed', () => {
  const samples = fc.sample(fc.tuple(randomPrograms(sizes), layouts, seeds), { numRuns: 300, seed: 4 });
  const noticed = samples.filter(([program, layout, seed]) => {
    const written = partition(program, layout);
    // Collectives that are written fit where they are written for, and few others.
    if (written === undefined || allNodes(written.placed.graph).some(({ kind }) => kind === 'collective'))
      return false;
    const made = partlyAutomatic(written, seed, () => new Map());
    return made !== undefined && displaced(made) !== undefined;
  });
  expect(noticed.length).toBeGreaterThan(2);
});
