/**
 * The ways of parallelism in use, written in Ricci with their collectives: on each mesh the same as on one device,
 * and as many bytes sent as the formulas say.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { devicesAlong, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import type { Type } from '../../dsl/types/typed.ts';
import type { TensorValue } from '../graph/algebra.ts';
import { evaluateGraph } from '../graph/evaluate.ts';
import { float64 } from '../graph/float64.ts';
import type { ExchangeVerb, Graph } from '../graph/graph.ts';
import { printGraph } from '../graph/print.ts';
import { threefry2x32 } from '../graph/threefry.ts';
import { entryOf } from '../lower/entry.ts';
import { lowerEntry } from '../lower/lower-entry.ts';
import { checkText } from '../lower/testing.ts';
import { optimize } from '../optimize/passes.ts';
import { evaluateOnMesh } from './evaluate-mesh.ts';
import { type DeviceProgram, localize } from './localize.ts';
import { place } from './place.ts';

/** An entry of a text, placed as its types say. */
function partitioned(
  text: string,
  sizes: Readonly<Record<string, number>>,
  mesh: Mesh,
  entry = 'f',
  change = (graph: Graph) => graph,
) {
  const program = checkText(text);
  const { parameters, result } = entryOf(program, entry);
  const lowered = lowerEntry(program, entry, {
    sizes: new Map(Object.entries(sizes)),
    inputDtypes: new Map(),
  });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  const graph = change(lowered.graph);
  const inputs = new Map(parameters.map(({ name, type }) => [name, placementOf(type)]));
  const placed = place(graph, { mesh, inputs, outputs: new Map([['out', placementOf(result)]]) });
  return { graph, placed };
}

function placementOf(type: Type): Placement {
  if (type.kind !== 'tensor') throw new Error('tensors only');
  const dims = type.dims.map(({ placement }) => (placement.kind === 'axes' ? placement.axes : []));
  return { dims, pending: new Map() };
}

/** Small integers; below `bound` where they look something up. */
function integersFor(graph: Graph, bound: number): ReadonlyMap<string, TensorValue<number>> {
  const values = graph.inputs.map(({ path, tensor: { id, dtype, shape } }) => {
    const count = shape.reduce((product, extent) => product * extent, 1);
    const data = Float64Array.from({ length: count }, (_, position) => {
      const [bits] = threefry2x32(7, id, position, 0);
      return dtype === 'i32' ? bits % bound : (bits % 7) - 3;
    });
    return [path, { dtype, shape, data }] as const;
  });
  return new Map(values);
}

const pairs = [
  [1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [2, 3], [3, 2], [4, 1], [2, 4], [3, 4], [4, 2],
] as const; // biome-ignore format: one table

/** Of axes dp and tp, in either order of the mesh. */
const meshes: readonly Mesh[] = pairs.flatMap(([dp, tp]) => {
  const axes = [
    { name: 'dp', size: dp },
    { name: 'tp', size: tp },
  ];
  return dp > 1 && tp > 1 ? [{ axes }, { axes: axes.toReversed() }] : [{ axes }];
});

interface Scheme {
  readonly name: string;
  readonly text: string;
  readonly sizes: Readonly<Record<string, number>>;
  /** The most devices along dp that the sizes divide by. */
  readonly most?: number;
  /** Bytes that a device sends, with `d` devices along dp and `t` along tp. */
  readonly bytes: (d: number, t: number) => Partial<Record<ExchangeVerb, number>>;
}

const [T, D, F] = [24, 12, 12];
const [B, S, G, R, A] = [2, 12, 12, 2, 2];
const heads = 'where tp | G';
const float = 4;

/** What each device sends of a block of so many elements. */
const gathered = (block: number, devices: number): number => float * block * (devices - 1);
const scattered = (block: number, devices: number): number => (float * block * (devices - 1)) / devices;
const reduced = (block: number, devices: number): number => 2 * scattered(block, devices);

const schemes: readonly Scheme[] = [
  {
    name: 'tensor-parallel layers (Megatron)',
    text: `export fn f(x: f32[T@dp, D], w1: f32[D, F@tp], w2: f32[F@tp, D]) -> f32[T@dp, D] {
  let h[t, f] = relu(sum d: x[t, d] * w1[d, f])
  let y = for t, d: sum f: h[t, f] * w2[f, d]
  all_reduce(y, tp)
}`,
    sizes: { T, D, F },
    bytes: (d, t) => ({ all_reduce: reduced((T / d) * D, t) }),
  },
  {
    name: 'sequence-parallel layers',
    text: `export fn f(x: f32[T@(dp, tp), D], w1: f32[D, F@tp], w2: f32[F@tp, D]) -> f32[T@(dp, tp), D] {
  let g = all_gather(x, tp)
  let h[t, f] = relu(sum d: g[t, d] * w1[d, f])
  let y = for t, d: sum f: h[t, f] * w2[f, d]
  let z = reduce_scatter(y, tp, T)
  for t, d: x[t, d] + z[t, d]
}`,
    sizes: { T: 2 * T, D, F },
    bytes: (d, t) => ({
      all_gather: gathered(((2 * T) / (d * t)) * D, t),
      reduce_scatter: scattered(((2 * T) / d) * D, t),
    }),
  },
  {
    name: 'one token at a time',
    text: `fn block(x: f32[D], w1: f32[D, F@tp], w2: f32[F@tp, D]) -> f32[D] {
  let h[f] = relu(sum d: x[d] * w1[d, f])
  all_reduce(for d: sum f: h[f] * w2[f, d], tp)
}
export fn f(x: f32[T@dp, D], w1: f32[D, F@tp], w2: f32[F@tp, D]) -> f32[T@dp, D] =
  for t: block(x[t], w1, w2)`,
    sizes: { T, D, F },
    bytes: (d, t) => ({ all_reduce: reduced((T / d) * D, t) }),
  },
  {
    name: 'layers in a loop',
    text: `export fn f(x: f32[T@dp, D], w1: f32[L, D, F@tp], w2: f32[L, F@tp, D]) -> f32[T@dp, D] =
  fold l < L from h = x: {
    let a[t, f] = relu(sum d: h[t, d] * w1[l, d, f])
    let y = for t, d: sum f: a[t, f] * w2[l, f, d]
    let z = all_reduce(y, tp)
    for t, d: min(max(h[t, d] + z[t, d], -9), 9)
  }`,
    sizes: { L: 3, T, D, F },
    bytes: (d, t) => ({ all_reduce: 3 * reduced((T / d) * D, t) }),
  },
  {
    name: 'attention by heads (DeepSpeed-Ulysses)',
    text: `import attention
fn ulysses(q: f32[S@tp, G * R, A], k: f32[S@tp, G, A], v: f32[S@tp, G, A])
  -> f32[S@tp, G * R, A] ${heads} {
  let out = attention.causal(all_to_all(q, tp, S -> G), all_to_all(k, tp, S -> G), all_to_all(v, tp, S -> G))
  all_to_all(out, tp, G -> S)
}
export fn f(q: f32[B@dp, S@tp, G * R, A], k: f32[B@dp, S@tp, G, A], v: f32[B@dp, S@tp, G, A])
  -> f32[B@dp, S@tp, G * R, A] ${heads} =
  for b: ulysses(q[b], k[b], v[b])`,
    sizes: { B, S, G, R, A },
    most: 2,
    bytes: (d, t) => ({ all_to_all: scattered((B / d) * (S / t) * A * (2 * G * R + 2 * G), t) }),
  },
  {
    name: 'attention over gathered keys (context parallelism)',
    text: `import attention
export fn f(q: f32[B@dp, S@tp, G * R, A], k: f32[B@dp, S@tp, G, A], v: f32[B@dp, S@tp, G, A])
  -> f32[B@dp, S@tp, G * R, A] {
  let keys = all_gather(k, tp)
  let values = all_gather(v, tp)
  for b, s, (g, r): attention.attend(q[b, s, (g, r)], keys[b, :, g], values[b, :, g], for u: u <= s)
}`,
    sizes: { B, S, G, R, A },
    most: 2,
    bytes: (d, t) => ({ all_gather: 2 * gathered((B / d) * (S / t) * G * A, t) }),
  },
  {
    name: 'attention with its heads cut',
    text: `import attention
export fn f(x: f32[S, D], wq: f32[D, (G * R)@tp, A], k: f32[S, G@tp, A], wo: f32[(G * R)@tp, A, D])
  -> f32[S, D] ${heads} {
  let q = for s, h, a: sum d: x[s, d] * wq[d, h, a]
  let o = attention.causal(q, k, k)
  let y = for s, d: sum h, a: floor(o[s, h, a]) * wo[h, a, d]
  all_reduce(y, tp)
}`,
    sizes: { S, G, R, A, D },
    bytes: (_, t) => ({ all_reduce: reduced(S * D, t) }),
  },
  {
    name: 'data parallelism',
    text: `export fn f(x: f32[T@dp, D], dy: f32[T@dp, F], w: f32[D, F]) -> f32[D, F] {
  let g = all_reduce(for d, f: sum t: x[t, d] * dy[t, f], dp)
  for d, f: w[d, f] - 2 * g[d, f]
}`,
    sizes: { T, D, F },
    bytes: (d) => ({ all_reduce: reduced(D * F, d) }),
  },
  {
    name: 'data parallelism with the optimizer cut (ZeRO)',
    text: `export fn f(x: f32[T@dp, D], dy: f32[T@dp, F], w: f32[D@dp, F]) -> f32[D, F] {
  let g = reduce_scatter(for d, f: sum t: x[t, d] * dy[t, f], dp, D)
  all_gather(for d, f: w[d, f] - 2 * g[d, f], dp)
}`,
    sizes: { T, D: 12, F: 10 },
    bytes: (d) => ({ reduce_scatter: scattered(120, d), all_gather: gathered(120 / d, d) }),
  },
  {
    name: 'a table of embeddings cut by words',
    text: `export fn f(tokens: ix(V)[T@dp], table: f32[V@tp, D]) -> f32[T@dp, D] =
  all_reduce(for t: table[tokens[t]], tp)`,
    sizes: { V: 12, T, D },
    bytes: (d, t) => ({ all_reduce: reduced((T / d) * D, t) }),
  },
  {
    name: 'experts cut, looked up by token',
    text: `export fn f(x: f32[T@dp, D], pick: ix(E)[T@dp], up: f32[E@tp, D, F], down: f32[E@tp, F, D])
  -> f32[T@dp, D] {
  let h = all_reduce(for t, f: sum d: x[t, d] * up[pick[t], d, f], tp)
  all_reduce(for t, d: sum f: relu(h[t, f]) * down[pick[t], f, d], tp)
}`,
    sizes: { E: 12, T, D, F: 10 },
    bytes: (d, t) => ({ all_reduce: reduced((T / d) * (D + 10), t) }),
  },
  {
    name: 'a softmax over words that are cut',
    text: `export fn f(x: f32[T@dp, V@tp]) -> f32[T@dp, V@tp] {
  let greatest = all_reduce(for t: max v: x[t, v], tp)
  let power[t, v] = floor(exp(x[t, v] - greatest[t]) * 8)
  let total = all_reduce(for t: sum v: power[t, v], tp)
  for t, v: power[t, v] / total[t]
}`,
    sizes: { T, V: 12 },
    bytes: (d, t) => ({ all_reduce: 2 * reduced(T / d, t) }),
  },
  {
    name: 'rows one after another',
    text: `export fn f(x: f32[S@(dp, tp), A], bias: f32[S * A]) -> f32[(S * A)@(dp, tp)] =
  for (s, a): x[s, a] + bias[(s, a)]`,
    sizes: { S: 48, A: 3 },
    bytes: () => ({}),
  },
  {
    name: 'rows taken apart',
    text: `export fn f(x: f32[(S * A)@(dp, tp)]) -> f32[S@(dp, tp), A] = for s, a: x[(s, a)] * 2`,
    sizes: { S: 48, A: 3 },
    bytes: () => ({}),
  },
  {
    name: 'what is whole is cut and masked for nothing',
    text: `export fn f(x: f32[T, D], y: f32[T@dp, D], w: f32[D@tp, F], b: f32[F]) -> f32[T@dp, F] {
  let z[t, f] = (sum d: (x[t, d] + y[t, d]) * w[d, f]) + b[f]
  all_reduce(z, tp)
}`,
    sizes: { T, D, F },
    bytes: (d, t) => ({ all_reduce: reduced((T / d) * F, t) }),
  },
  {
    name: 'resharding',
    text: `export fn f(x: f32[T@(dp, tp), D]) -> f32[T@dp, D@tp] = x as [T@dp, D@tp]`,
    sizes: { T: 48, D },
    bytes: (d, t) => ({ all_to_all: scattered((48 / (d * t)) * D, t) }),
  },
];

describe.each(schemes)('$name', ({ text, sizes, bytes, most = 4 }) => {
  const fitting = meshes.filter((mesh) => devicesAlong(mesh, ['dp']) <= most);
  test.each(
    fitting.map((mesh) => [mesh.axes.map(({ name, size }) => `${name}=${size}`).join(' '), mesh] as const),
  )('%s', (_, mesh) => {
    const { graph, placed } = partitioned(`mesh (dp, tp)\n${text}`, sizes, mesh);
    if (placed.kind === 'misplaced') throw new Error(JSON.stringify(placed.faults, null, 1));
    const device = localize(placed.placed);
    const inputs = integersFor(graph, sizes.V ?? sizes.E ?? 1);
    const ids = new Map(graph.inputs.map(({ path, tensor }) => [tensor.id, inputs.get(path)!]));
    const wanted = evaluateGraph(graph, ids, float64).get('out')!;
    const { outputs, sent } = evaluateOnMesh(device, inputs, float64);
    expect(outputs.get('out')).toEqual(wanted);
    const [d, t] = [devicesAlong(mesh, ['dp']), devicesAlong(mesh, ['tp'])];
    const counted = Object.entries(bytes(d, t)).filter(([, count]) => count > 0);
    expect(Object.fromEntries(sent)).toEqual(Object.fromEntries(counted));
    const faster: DeviceProgram = { ...device, graph: optimize(device.graph) };
    const again = evaluateOnMesh(faster, inputs, float64);
    expect(again.outputs.get('out')).toEqual(evaluateGraph(optimize(graph), ids, float64).get('out'));
    expect(again.sent).toEqual(sent);
  });
});

test.each(['softmaxSum', 'compute'])('attention is cut before the optimizer and after it: %s', (kind) => {
  const text = `import attention
mesh (dp, tp)
export fn f(q: f32[S@dp, (G * R)@tp, A], k: f32[S, G@tp, A], v: f32[S, G@tp, A])
  -> f32[S@dp, (G * R)@tp, A] ${heads} = attention.causal(q, k, v)`;
  const axes = [
    { name: 'dp', size: 2 },
    { name: 'tp', size: 3 },
  ];
  const isOptimized = kind === 'softmaxSum';
  const { graph, placed } = partitioned(
    text,
    { S, G, R, A },
    { axes },
    'f',
    isOptimized ? optimize : undefined,
  );
  if (placed.kind === 'misplaced') throw new Error(JSON.stringify(placed.faults));
  const device = localize(placed.placed);
  expect(device.graph.nodes.some((node) => node.kind === 'softmaxSum')).toBe(isOptimized);
  const inputs = integersFor(graph, 1);
  const ids = new Map(graph.inputs.map(({ path, tensor }) => [tensor.id, inputs.get(path)!]));
  const { outputs, sent } = evaluateOnMesh(device, inputs, float64);
  expect(outputs.get('out')).toEqual(evaluateGraph(graph, ids, float64).get('out'));
  expect(sent.size).toBe(0);
});

test('the guide to the source shows what a device runs', () => {
  const guide = readFileSync(join(import.meta.dirname, '../../docs/source.md'), 'utf8');
  const [, text = ''] = /^```ricci\n(mesh \(tp\)\n[\s\S]*?)^```$/m.exec(guide) ?? [];
  const axes = [{ name: 'tp', size: 2 }];
  const { placed } = partitioned(text, { T: 2, D: 4, F: 6 }, { axes }, 'layers');
  if (placed.kind === 'misplaced') throw new Error(JSON.stringify(placed.faults));
  expect(guide).toContain(`\`\`\`\n${printGraph(localize(placed.placed).graph)}\`\`\`\n`);
});
