/** Every pass over collectives keeps what the devices of a mesh compute together, and sends no more. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Placement, samePlacement, wholePlacement } from '../../../dsl/placement/placement.ts';
import type { Algebra, TensorValue } from '../../graph/algebra.ts';
import { float32 } from '../../graph/float32.ts';
import type { CollectiveNode, Graph, Node, Tensor, TensorId } from '../../graph/graph.ts';
import { printGraph } from '../../graph/print.ts';
import { type RandomProgram, randomPrograms } from '../../graph/random-graph.ts';
import { allTensors } from '../../graph/uses.ts';
import { greatestId } from '../../optimize/nodes.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import { type DeviceProgram, localize } from '../localize.ts';
import type { PlacedGraph } from '../place.ts';
import { exactAlgebra } from '../random-partition.ts';
import { addFirst } from './linear.ts';
import { narrowFirst } from './narrow.ts';
import { type CollectiveOptions, exactOptions } from './options.ts';
import { localizeOptimized, optimizePlaced, type PlacedPass, placedPasses } from './passes.ts';
import { blocksOf, randomDetours } from './random-detours.ts';

/** Most of them can be cut in several ways. */
const sizes = [4, 2, 6, 12, 3, 4, 1, 2, 0];
const tapes = fc.array(fc.noBias(fc.nat(2 ** 16)), { minLength: 80, maxLength: 260, size: 'max' });

type Outputs = ReadonlyMap<string, TensorValue<number>>;

/** The first element that is not the same to the bit. */
function difference(wanted: Outputs, found: Outputs): string | undefined {
  for (const [path, { data }] of wanted) {
    const other = found.get(path)!.data;
    const at = Array.from({ length: data.length }, (_, position) => position).findIndex(
      (position) => !Object.is(data[position], other[position]),
    );
    if (at >= 0) return `${path}, element ${at}: ${data[at]} became ${other[at]}`;
  }
  return undefined;
}

function evaluated(program: RandomProgram, device: DeviceProgram, algebra: Algebra<number>) {
  const { outputs, sent } = evaluateOnMesh(device, blocksOf(program, device), algebra);
  return { outputs, sent: [...sent.values()].reduce((sum, bytes) => sum + bytes, 0) };
}

function shown(before: PlacedGraph, after: DeviceProgram): string {
  const mesh = before.mesh.axes.map(({ name, size }) => `${name}=${size}`).join(' ');
  return `${mesh}\n${printGraph(before.graph)}\nbecame\n${printGraph(after.graph)}`;
}

const names = placedPasses.map(({ name }) => name);
const skips = fc.oneof(fc.constant([]), fc.subarray(names)).map((list) => new Set<string>(list));

test('with any of the passes the devices compute the same, to the bit, and send no more', () => {
  fc.assert(
    fc.property(randomPrograms(sizes), tapes, skips, (program, tape, skip) => {
      const placed = randomDetours(program, tape);
      if (placed === undefined) return;
      const rejected: string[] = [];
      const options = { ...exactOptions, skip };
      const after = localizeOptimized(placed, options, (...why) => rejected.push(why.join(': ')));
      const [wanted, found] = [localize(placed), after].map((device) => evaluated(program, device, float32));
      expect(difference(wanted!.outputs, found!.outputs), shown(placed, after)).toBeUndefined();
      expect(found!.sent, shown(placed, after)).toBeLessThanOrEqual(wanted!.sent);
      expect(rejected, shown(placed, after)).toEqual([]);
    }),
    { numRuns: 20 },
  );
});

test('sums in another order are the same where sums are exact', () => {
  fc.assert(
    fc.property(randomPrograms(sizes), tapes, skips, (program, tape, skip) => {
      const placed = randomDetours(program, tape);
      if (placed === undefined) return;
      const algebra = exactAlgebra();
      const rejected: string[] = [];
      const options: CollectiveOptions = { ...exactOptions, skip, reassociates: true };
      const after = localizeOptimized(placed, options, (...why) => rejected.push(why.join(': ')));
      const [wanted, found] = [localize(placed), after].map((device) => evaluated(program, device, algebra));
      if (!algebra.isExact()) return;
      expect(difference(wanted!.outputs, found!.outputs), shown(placed, after)).toBeUndefined();
      expect(found!.sent).toBeLessThanOrEqual(wanted!.sent);
      expect(rejected, shown(placed, after)).toEqual([]);
    }),
    { numRuns: 20 },
  );
});

// ── the tests themselves ───────────────────────────────────────────────────────────────────────────────────

const sampled = fc
  .sample(fc.tuple(randomPrograms(sizes), tapes), { numRuns: 130, seed: 4 })
  .flatMap(([program, tape]) => {
    const placed = randomDetours(program, tape);
    return placed === undefined ? [] : [{ program, placed }];
  });

test.each(placedPasses.map((pass) => [pass.name, pass] as const))('%s finds something to do', (_, pass) => {
  const options = { ...exactOptions, reassociates: true };
  const changed = sampled.filter(({ placed }) => {
    const after = optimizePlaced(placed, options, () => undefined, [pass]);
    return printGraph(after.graph) !== printGraph(placed.graph);
  });
  expect(changed.length).toBeGreaterThanOrEqual(3);
});

test('what had its place keeps it', () => {
  for (const { placed } of sampled.slice(0, 40)) {
    const after = optimizePlaced(placed, exactOptions);
    for (const [path, placement] of placed.outputs)
      expect(samePlacement(placement, after.outputs.get(path)!)).toBe(true);
  }
});

// ── passes that are wrong ──────────────────────────────────────────────────────────────────────────────────

function onNodes(graph: Graph, change: (node: Node) => readonly Node[]): Graph {
  const nodes = graph.nodes.flatMap((node) =>
    node.kind === 'loop' ? [{ ...node, body: onNodes(node.body, change) }] : change(node),
  );
  return { ...graph, nodes };
}

function onCollectives(change: (node: CollectiveNode, placed: PlacedGraph) => Node): PlacedPass['run'] {
  return (placed) =>
    onNodes(placed.graph, (node) => [node.kind === 'collective' ? change(node, placed) : node]);
}

function withNewId({ graph }: PlacedGraph, like: Tensor): Tensor {
  return { ...like, id: greatestId(graph) + 1 };
}

const mutants: Readonly<Record<string, PlacedPass['run']>> = {
  'cuts another dimension than is read': onCollectives((node, { placements }) => {
    const after = placements.get(node.result.id)!;
    const to = { dims: after.dims.toReversed(), pending: after.pending };
    return { ...node, change: { kind: 'reshard', first: 0, to } };
  }),
  'leaves a sum to be combined': onCollectives((node) =>
    node.change.kind === 'all_reduce' ? { ...node, change: { kind: 'all_reduce', axes: [] } } : node,
  ),
  'adds what is a maximum': (placed, options) => {
    const asSums = [...placed.placements].map(([id, { dims, pending }]): [TensorId, Placement] => [
      id,
      { dims, pending: new Map([...pending.keys()].map((axis) => [axis, 'sum'])) },
    ]);
    return addFirst({ ...placed, placements: new Map(asSums) }, options);
  },
  'rounds the parts of a sum': (placed) => {
    const final = [...placed.placements].map(([id, { dims }]): [TensorId, Placement] => [
      id,
      { dims, pending: new Map() },
    ]);
    return narrowFirst({ ...placed, placements: new Map(final) });
  },
  'reads another tensor': (placed) => {
    const named = new Map<string, TensorId>();
    // Inputs: what is defined before everything.
    for (const { tensor } of placed.graph.inputs) named.set(`${tensor.dtype} ${tensor.shape}`, tensor.id);
    const tensors = allTensors(placed.graph);
    return onNodes(placed.graph, (node) => {
      if (node.kind !== 'collective') return [node];
      const { dtype, shape } = tensors.get(node.source)!;
      return [{ ...node, source: named.get(`${dtype} ${shape}`) ?? node.source }];
    });
  },
  'sends what nobody asked for': (placed) => {
    const source = placed.graph.nodes.find((node) => node.kind === 'collective')?.source;
    const tensor = source === undefined ? undefined : allTensors(placed.graph).get(source);
    if (tensor === undefined) return placed.graph;
    const whole = { kind: 'reshard', first: 0, to: wholePlacement(tensor.shape.length) } as const;
    const there = withNewId(placed, tensor);
    const back = { ...there, id: there.id + 1 };
    const to = { ...placed.placements.get(tensor.id)!, pending: new Map() };
    let isFirst = true;
    return onNodes(placed.graph, (node) => {
      if (node.kind !== 'collective' || node.source !== tensor.id || !isFirst) return [node];
      isFirst = false;
      return [
        { kind: 'collective', source: tensor.id, result: there, change: whole },
        { kind: 'collective', source: there.id, result: back, change: { ...whole, to } },
        { ...node, source: back.id },
      ];
    });
  },
};

test.each(Object.entries(mutants))('a pass that %s is not taken', (name, run) => {
  const options = { ...exactOptions, reassociates: true };
  let rejections = 0;
  for (const { program, placed } of sampled) {
    const pass: PlacedPass = { level: 'placed', name, run };
    const after = optimizePlaced(placed, options, () => rejections++, [pass]);
    if (after === placed) continue;
    // Where it is taken it happens to be right.
    const algebra = exactAlgebra();
    const [wanted, found] = [placed, after].map((each) => evaluated(program, localize(each), algebra));
    if (algebra.isExact()) expect(difference(wanted!.outputs, found!.outputs)).toBeUndefined();
  }
  expect(rejections).toBeGreaterThan(0);
});

test('what depends on the step stays in the loop', () => {
  const everything: PlacedPass['run'] = ({ graph }) => ({
    ...graph,
    nodes: graph.nodes.flatMap((node): readonly Node[] => {
      if (node.kind !== 'loop') return [node];
      const moved = node.body.nodes.filter(({ kind }) => kind === 'collective');
      const nodes = node.body.nodes.filter(({ kind }) => kind !== 'collective');
      return moved.length === 0 ? [node] : [...moved, { ...node, body: { ...node.body, nodes } }];
    }),
  });
  const pass: PlacedPass = { level: 'placed', name: 'hoists everything', run: everything };
  const caught = sampled.filter(({ placed }) => {
    try {
      let isRejected = false;
      optimizePlaced(placed, exactOptions, () => (isRejected = true), [pass]);
      return isRejected;
    } catch {
      return true;
    }
  });
  expect(caught.length).toBeGreaterThan(0);
});
