/** Attention in pieces, as the rings of the standard library do it: what is stored, and what is computed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Mesh } from '../../dsl/placement/placement.ts';
import { evaluateGraph } from '../graph/evaluate.ts';
import { float64 } from '../graph/float64.ts';
import type { Graph, Node, SoftmaxSumNode, Tensor, TensorType } from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import { loadsOf } from '../graph/scalar.ts';
import { elementCount } from '../graph/tensor-type.ts';
import { allNodes } from '../graph/uses.ts';
import { evaluateForTest, lowerText, testNumbers } from '../lower/testing.ts';
import { lookedUpBound } from '../tiles/schedules/visible-bound.ts';
import { optimize } from './passes.ts';
import { optimizedDeviceGraph } from './testing.ts';

const programs = readFileSync(
  join(import.meta.dirname, '../../property-tests/programs/sequence.ricci'),
  'utf8',
);

const devices = 3;
const mesh: Mesh = { axes: [{ name: 'sp', size: devices }] };

function deviceGraph(entry: string, sizes: Readonly<Record<string, number>>): Graph {
  return optimizedDeviceGraph(programs, entry, sizes, mesh);
}

function streaming(graph: Graph): readonly SoftmaxSumNode[] {
  return [...allNodes(graph)].filter((node) => node.kind === 'softmaxSum');
}

/** Tokens that a device has. */
const block = 48;
const heads = { G: 1, R: 2, A: 4 };

describe.each([
  ['around', { S: block * devices, ...heads }],
  ['batched', { B: 2, S: block * devices, ...heads }],
  ['zigzag', { C: block / 2, ...heads }],
  ['striped', { C: block, ...heads }],
])('%s', (entry, sizes) => {
  const graph = deviceGraph(entry, sizes);

  test('stores no scores of a block', () => {
    const batch = 'B' in sizes ? sizes.B : 1;
    const largest = Math.max(...[...allNodes(graph)].flatMap(results).map(elementCount));
    expect(largest).toBeLessThan(batch * block * block);
  });

  test('streams every turn', () => {
    const found = streaming(graph);
    expect(found).toHaveLength(2);
    for (const { extent, partial, visible } of found) {
      expect(extent).toBe(block);
      expect(partial).toBeDefined();
      expect(visible).toBeDefined();
    }
  });
});

/** In blocks of so many rows by so many keys, as kernels meet them. */
const tile = 8;

/** How many blocks of scores each device computes in all turns, its tokens standing at `position`. */
function scoreBlocks(position: (device: number, token: number) => number): readonly number[] {
  const [node] = streaming(deviceGraph('zigzag', { C: block / 2, G: 1, R: 1, A: 4 }));
  const [from, at] = loadsOf(node!.visible!);
  const tensor = (id: number, name: string): Tensor => ({ id, name, dtype: 'i32', shape: [block] });
  const inputs = [
    { path: 'from', tensor: tensor(from!.tensor, 'from') },
    { path: 'at', tensor: tensor(at!.tensor, 'at') },
  ];
  const temporary = (name: string, type: TensorType): Tensor => ({ id: 1000, name, ...type });
  const rows = { axes: [0], extent: block };
  const bound = lookedUpBound(node!, rows, tile, block / tile, { temporary })!;
  const outputs = [{ path: 'bound', tensor: bound.result.id }];
  const graph: Graph = { name: 'bounds', inputs, nodes: [bound], outputs };
  const tokens = (device: number) => ({
    dtype: 'i32' as const,
    shape: [block],
    data: Float64Array.from({ length: block }, (_, token) => position(device, token)),
  });
  return Array.from({ length: devices }, (_, device) => {
    let blocks = 0;
    for (let turn = 0; turn < devices; turn++) {
      const sender = (device - turn + devices) % devices;
      const given = new Map([
        [from!.tensor, tokens(sender)],
        [at!.tensor, tokens(device)],
      ]);
      const { data } = evaluateGraph(graph, given, float64).get('bound')!;
      for (let group = 0; group < data.length; group++) blocks += Math.ceil(Number(data[group]) / tile);
    }
    return blocks;
  });
}

describe('keys that no row of a workgroup sees are not looked at', () => {
  // Of pairs of blocks 6 · 6, with its own tokens half of them and the diagonal.
  const [all, half] = [36, 21];

  test('in order, the last device has by far the most to do', () => {
    const blocks = scoreBlocks((device, token) => device * block + token);
    expect(blocks).toEqual([half, all + half, 2 * all + half]);
  });

  test('in zigzag, all have the same', () => {
    const chunk = block / 2;
    const blocks = scoreBlocks((device, token) => {
      const held = token < chunk ? device : 2 * devices - 1 - device;
      return held * chunk + (token % chunk);
    });
    expect(blocks).toEqual([57, 57, 57]);
  });

  test('in stripes, nearly the same', () => {
    const blocks = scoreBlocks((device, token) => token * devices + device);
    expect(blocks).toEqual([3 * half, 3 * half, 3 * half]);
  });
});

describe('a step', () => {
  const step = `import flash
fn f(
  top: f32[S, G * R], total: f32[S, G * R], value: f32[S, G * R, A],
  q: f32[S, G * R, A], k: f32[U, G, A], v: f32[U, G, A], from: i32[U], at: i32[S],
) -> (f32[S, G * R], f32[S, G * R], f32[S, G * R, A]) {
  let acc = flash.Partial(top: top, total: total, value: value)
  let next = flash.step_ordered(acc, q, k, v, from: from, at: at)
  (next.top, next.total, next.value)
}`;
  const [S, U, G, R, A] = [5, 6, 2, 3, 4];
  const inputs = {
    top: testNumbers([S, G * R], 1),
    total: testNumbers([S, G * R], 2),
    value: testNumbers([S, G * R, A], 3),
    q: testNumbers([S, G * R, A], 4),
    k: testNumbers([U, G, A], 5),
    v: testNumbers([U, G, A], 6),
    from: { shape: [U], data: [5, 0, 9, 3, 7, 2] },
    // The second row sees nothing.
    at: { shape: [S], data: [4, -1, 9, 2, 6] },
  };

  function fault(change: (node: Node) => Node = (node) => node): number {
    const graph = lowerText(step, 'f', inputs);
    const optimized = optimize(graph);
    expect(streaming(optimized)).toHaveLength(1);
    const found = evaluateForTest({ ...optimized, nodes: optimized.nodes.map(change) }, inputs);
    const differences = Object.entries(evaluateForTest(graph, inputs)).flatMap(([path, { data }]) =>
      data.map((wanted, at) => Math.abs(wanted - found[path]!.data[at]!) / Math.max(1, Math.abs(wanted))),
    );
    return Math.max(...differences);
  }

  test('gives the same', () => {
    expect(fault()).toBeLessThan(1e-6);
  });

  const mutated = (change: (node: SoftmaxSumNode) => SoftmaxSumNode) => (node: Node) =>
    node.kind === 'softmaxSum' ? change(node) : node;

  test.each([
    ['sees everything', mutated((node) => ({ ...node, visible: undefined }))],
    [
      'gives the total for the top',
      mutated(({ partial, ...node }) => ({
        ...node,
        partial: partial && { ...partial, top: partial.total, total: partial.top },
      })),
    ],
  ])('that %s is found out', (_, change) => {
    expect(fault(change)).toBeGreaterThan(1e-3);
  });
});

test('weights that something else reads are stored, and the sum stays as it is', () => {
  const text = `fn f(top: f32[S], x: f32[S, U], v: f32[U, A]) -> (f32[S, A], f32[S, U]) {
    let now[s] = max(top[s], max u: x[s, u])
    let p[s, u] = exp(x[s, u] - now[s])
    ((for s, a: sum u: p[s, u] * v[u, a]), p)
  }`;
  const inputs = { top: testNumbers([3], 1), x: testNumbers([3, 20], 2), v: testNumbers([20, 4], 3) };
  expect(streaming(optimize(lowerText(text, 'f', inputs)))).toEqual([]);
});

test('a top that may be below the maximum of the block is left alone', () => {
  const text = (top: string) => `fn f(top: f32[S], x: f32[S, U], v: f32[U, A]) -> f32[S, A] {
    let now[s] = ${top}
    let p[s, u] = exp(x[s, u] - now[s])
    for s, a: sum u: p[s, u] * v[u, a]
  }`;
  const inputs = { top: testNumbers([3], 1), x: testNumbers([3, 20], 2), v: testNumbers([20, 4], 3) };
  const found = (top: string) => streaming(optimize(lowerText(text(top), 'f', inputs)));
  expect(found('max(top[s], max u: x[s, u])')).toHaveLength(1);
  expect(found('min(top[s], max u: x[s, u])')).toEqual([]);
});
