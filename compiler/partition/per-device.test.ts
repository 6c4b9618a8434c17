/** What devices do on their own, and where declarations put values: on meshes the same as without them. */
import { describe, expect, test } from 'vitest';
import { devicesAlong, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import type { Type } from '../../dsl/types/typed.ts';
import type { TensorValue } from '../graph/algebra.ts';
import { evaluateGraph } from '../graph/evaluate.ts';
import { float64 } from '../graph/float64.ts';
import type { ExchangeVerb, Graph } from '../graph/graph.ts';
import { elementCount } from '../graph/tensor-type.ts';
import { threefry2x32 } from '../graph/threefry.ts';
import { entryOf } from '../lower/entry.ts';
import { lowerEntry } from '../lower/lower-entry.ts';
import { checkText, expectClose } from '../lower/testing.ts';
import { optimize } from '../optimize/passes.ts';
import { evaluateOnMesh } from './evaluate-mesh.ts';
import { localize } from './localize.ts';
import { place } from './place.ts';

type Sizes = Readonly<Record<string, number>>;

function graphOf(text: string, entry: string, sizes: Sizes): Graph {
  const options = { sizes: new Map(Object.entries(sizes)), inputDtypes: new Map() };
  const lowered = lowerEntry(checkText(text), entry, options);
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  return lowered.graph;
}

function placementOf(type: Type): Placement {
  if (type.kind !== 'tensor') throw new Error('tensors only');
  const dims = type.dims.map(({ placement }) => (placement.kind === 'axes' ? placement.axes : []));
  return { dims, pending: new Map() };
}

/** Multiples of 1/8, of both signs. */
function inputsFor(graph: Graph): ReadonlyMap<string, TensorValue<number>> {
  return new Map(
    graph.inputs.map(({ path, tensor }) => {
      const data = Float64Array.from({ length: elementCount(tensor) }, (_, position) => {
        return ((threefry2x32(7, tensor.id, position, 0)[0] % 33) - 16) / 8;
      });
      return [path, { dtype: tensor.dtype, shape: tensor.shape, data }];
    }),
  );
}

interface Run {
  readonly out: TensorValue<number>;
  readonly sent: ReadonlyMap<ExchangeVerb, number>;
}

/** `optimized`: the device's program goes through the optimizer. */
function onMesh(text: string, entry: string, sizes: Sizes, mesh: Mesh, optimized: boolean): Run {
  const { parameters, result } = entryOf(checkText(text), entry);
  const axes = Object.fromEntries(mesh.axes.map(({ name, size }) => [name, size]));
  const graph = graphOf(text, entry, { ...sizes, ...axes });
  const inputs = new Map(parameters.map(({ name, type }) => [name, placementOf(type)]));
  const placed = place(graph, { mesh, inputs, outputs: new Map([['out', placementOf(result)]]) });
  if (placed.kind === 'misplaced') throw new Error(JSON.stringify(placed.faults, undefined, 1));
  const device = localize(placed.placed);
  const program = optimized ? { ...device, graph: optimize(device.graph) } : device;
  const { outputs, sent } = evaluateOnMesh(program, inputsFor(graph), float64);
  return { out: outputs.get('out')!, sent };
}

function onOneDevice(text: string, entry: string, sizes: Sizes): TensorValue<number> {
  const graph = graphOf(text, entry, sizes);
  const inputs = inputsFor(graph);
  const ids = new Map(graph.inputs.map(({ path, tensor }) => [tensor.id, inputs.get(path)!]));
  return evaluateGraph(graph, ids, float64).get('out')!;
}

function asTensor({ data, shape }: TensorValue<number>) {
  return { data: Array.from(data), shape };
}

function meshOf(axes: Sizes): Mesh {
  return { axes: Object.entries(axes).map(([name, size]) => ({ name, size })) };
}

const attention = `import attention
import flash
mesh (node, gpu)

export fn dense(q: f32[S, G * R, A], k: f32[S, G, A], v: f32[S, G, A]) -> f32[S, G * R, A] =
  attention.causal(q, k, v)

export fn ring(q: f32[S@node, G * R, A], k: f32[S@node, G, A], v: f32[S@node, G, A])
  -> f32[S@node, G * R, A] =
  per_device node (q, k, v) {
    let done = ring node (k, v) from acc = flash.start(q) at j {
      flash.step(acc, q, k, v, from: j, at: me(node))
    }
    flash.finish(done)
  }

export fn batched(q: f32[B, S@node, G * R, A], k: f32[B, S@node, G, A], v: f32[B, S@node, G, A])
  -> f32[B, S@node, G * R, A] =
  for b: ring(q[b], k[b], v[b])

export fn batched_dense(q: f32[B, S, G * R, A], k: f32[B, S, G, A], v: f32[B, S, G, A])
  -> f32[B, S, G * R, A] =
  for b: dense(q[b], k[b], v[b])

export fn two_d(
  q: f32[S@(node, gpu), G * R, A],
  k: f32[S@(node, gpu), G, A],
  v: f32[S@(node, gpu), G, A],
) -> f32[S@(node, gpu), G * R, A] where gpu | G {
  let queries = all_to_all(q, gpu, S -> G)
  let keys = all_to_all(k, gpu, S -> G)
  let values = all_to_all(v, gpu, S -> G)
  let out: f32[S, G * R, A] = per_device node (queries, keys, values) {
    let done = ring node (keys, values) from acc = flash.start(queries) at j {
      flash.step(acc, queries, keys, values, from: j, at: me(node))
    }
    flash.finish(done)
  }
  all_to_all(out, gpu, G -> S)
}
`;
const [S, G, R, A] = [24, 6, 2, 3];
const sizes = { S, G, R, A };
const meshes: readonly Sizes[] = [
  { node: 1, gpu: 1 }, { node: 2, gpu: 1 }, { node: 3, gpu: 1 }, { node: 4, gpu: 1 }, { node: 6, gpu: 1 },
  { node: 1, gpu: 2 }, { node: 1, gpu: 3 }, { node: 2, gpu: 2 }, { node: 2, gpu: 3 }, { node: 4, gpu: 2 },
  { node: 4, gpu: 6 }, { gpu: 2, node: 3 }, { gpu: 3, node: 4 },
]; // biome-ignore format: one table

describe.each(meshes.map((axes): [string, Sizes] => [JSON.stringify(axes), axes]))('on %s', (_, axes) => {
  const mesh = meshOf(axes);
  const [nodes, gpus] = [devicesAlong(mesh, ['node']), devicesAlong(mesh, ['gpu'])];

  test.each([false, true])('a ring is dense attention, optimized: %s', (optimized) => {
    const { out, sent } = onMesh(attention, 'ring', sizes, mesh, optimized);
    expectClose(asTensor(out), asTensor(onOneDevice(attention, 'dense', sizes)), 1e-6);
    // Keys and values of a block, once to each of the other devices.
    const bytes = 4 * 2 * (nodes - 1) * (S / nodes) * G * A;
    expect(Object.fromEntries(sent)).toEqual(nodes === 1 ? {} : { shift: bytes });
  });

  test.each([false, true])(
    'all-to-all inside a node and a ring between nodes, optimized: %s',
    (optimized) => {
      const { out, sent } = onMesh(attention, 'two_d', sizes, mesh, optimized);
      expectClose(asTensor(out), asTensor(onOneDevice(attention, 'dense', sizes)), 1e-6);
      const devices = nodes * gpus;
      const heads = (4 * (2 * G * R + 2 * G) * A * S * (gpus - 1)) / (devices * gpus);
      const rings = (4 * 2 * (nodes - 1) * S * G * A) / devices;
      const counted = Object.entries({ all_to_all: heads, shift: rings }).filter(([, count]) => count > 0);
      expect(Object.fromEntries(sent)).toEqual(Object.fromEntries(counted));
    },
  );
});

test('a ring for each of a batch is one ring', () => {
  const mesh = meshOf({ node: 4 });
  const { out, sent } = onMesh(attention, 'batched', { B: 2, ...sizes }, mesh, true);
  expectClose(asTensor(out), asTensor(onOneDevice(attention, 'batched_dense', { B: 2, ...sizes })), 1e-6);
  expect(sent.get('shift')).toBe(4 * 2 * 3 * 2 * (S / 4) * G * A);
});

test('a wrong place in the ring is seen', () => {
  const wrong = attention.replace('at: me(node))', 'at: j)');
  const { out } = onMesh(wrong, 'ring', sizes, meshOf({ node: 4 }), false);
  const wanted = asTensor(onOneDevice(attention, 'dense', sizes));
  expect(() => expectClose(asTensor(out), wanted, 1e-6)).toThrow();
});

const blocks = `mesh (a, b)
export fn shifted(x: f32[N@a]) -> f32[N@a] = per_device a (x) { shift(x, a) }
export fn place(x: f32[N@(a, b)]) -> i32[N@(a, b)] =
  per_device (a, b) (x) { for n: i32(me(a)) * 10 + i32(me(b)) }
export fn added(x: f32[N@a]) -> f32 = per_device a (x) { all_reduce(sum n: x[n], a) }
export fn first(x: f32[N@a]) -> f32[N@a] = per_device a (x) { broadcast(x, a) }
fn twice(x: f32[N@a]) -> f32[N@a] = for n: 2 * x[n]
export fn declared(x: f32[N]) -> f32[N] where a | N = all_gather(twice(x), a)
export fn annotated(x: f32[N], w: f32[N]) -> f32 where a | N {
  let y: f32[N@a] = x
  all_reduce(sum n: y[n] * w[n], a)
}
export fn prefixes(x: f32[N@a]) -> f32[N@a] = per_device a (x) {
  let before = ring a (x) from acc = 0.0 at j { if j < me(a) then acc + (sum n: x[n]) else acc }
  let own = cumsum(x)
  for n: own[n] + before
}
export fn masked(x: f32[N]) -> f32[N] {
  let y: f32[N]{+a} = x
  all_reduce(y, a)
}
`;

describe('devices on their own', () => {
  const mesh = meshOf({ a: 3, b: 2 });
  const x = Array.from(inputsFor(graphOf(blocks, 'declared', { N: 12 })).get('x')!.data);
  const run = (entry: string) => Array.from(onMesh(blocks, entry, { N: 12 }, mesh, true).out.data);

  test('get what the device before them had', () => {
    expect(run('shifted')).toEqual(x.map((_, position) => x[(position + 8) % 12]));
  });

  test('know where they are', () => {
    const places = [0, 1, 10, 11, 20, 21];
    expect(run('place')).toEqual(x.map((_, position) => places[Math.floor(position / 2)]));
  });

  test('agree on a sum, and on what the first one has', () => {
    expect(run('added')).toEqual([x.reduce((sum, element) => sum + element, 0)]);
    expect(run('first')).toEqual(x.map((_, position) => x[position % 4]));
  });

  test('have their own block again after a ring in which it travelled', () => {
    let total = 0;
    expect(run('prefixes')).toEqual(x.map((element) => (total += element)));
  });

  test('have their blocks where a declaration says so', () => {
    expect(run('declared')).toEqual(x.map((element) => 2 * element));
    expect(run('masked')).toEqual(x);
    expect(run('annotated')).toEqual(Array.from(onOneDevice(blocks, 'annotated', { N: 12 }).data));
    const { sent } = onMesh(blocks, 'annotated', { N: 12 }, mesh, true);
    expect(Object.keys(Object.fromEntries(sent))).toEqual(['all_reduce']);
  });
});
