/**
 * Experts that tokens on other devices look up: dispatched, the same as on one device and as loops written
 * out, on every mesh, and as many bytes sent as the formula says.
 */
import { describe, expect, test } from 'vitest';
import type { Mesh } from '../../../dsl/placement/placement.ts';
import type { TensorValue } from '../../graph/algebra.ts';
import { evaluateGraph } from '../../graph/evaluate.ts';
import { float64 } from '../../graph/float64.ts';
import type { ExchangeVerb, Graph, Node } from '../../graph/graph.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { threefry2x32 } from '../../graph/threefry.ts';
import { entryPlacements } from '../../lower/entry-placements.ts';
import { lowerEntry } from '../../lower/lower-entry.ts';
import { checkText, range, sum } from '../../lower/testing.ts';
import { optimize } from '../../optimize/passes.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import { type DeviceProgram, localize } from '../localize.ts';
import { place } from '../place.ts';
import { meshOf } from '../testing.ts';
import { deriveDispatch } from './derive-dispatch.ts';

type Sizes = Readonly<Record<string, number>>;
type Tensors = ReadonlyMap<string, TensorValue<number>>;
/** What a token in a position picks. */
type Picks = (token: number, k: number) => number;

const axes = 'mesh (dp, ep, tp)\n';

function graphOf(text: string, sizes: Sizes) {
  const program = checkText(axes + text);
  const own = Object.entries(sizes).filter(([name]) => program.entries.get('f')!.sizes.includes(name));
  const options = { sizes: new Map(own), inputDtypes: new Map() };
  const lowered = lowerEntry(program, 'f', options);
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  return { graph: lowered.graph, placements: entryPlacements(program, 'f') };
}

/** Small integers, so that sums are exact in any order; for `pick` what is given. */
function inputsFor({ inputs }: Graph, sizes: Sizes, picks: Picks): Tensors {
  return new Map(
    inputs.map(({ path, tensor }) => {
      const data = Float64Array.from({ length: elementCount(tensor) }, (_, at) => {
        if (path === 'pick') return picks(Math.floor(at / sizes.K!), at % sizes.K!);
        if (path === 'name') return at % sizes.V!;
        return (threefry2x32(7, tensor.id, at, 0)[0] % 7) - 3;
      });
      return [path, { dtype: tensor.dtype, shape: tensor.shape, data }];
    }),
  );
}

interface Options {
  readonly capacityFactor?: number;
  readonly picks?: Picks;
  /** Done to what was derived. */
  readonly change?: (graph: Graph) => Graph;
  /** Done to what a device runs. */
  readonly changeDevice?: (nodes: readonly Node[]) => readonly Node[];
}

interface Run {
  readonly inputs: Tensors;
  readonly wanted: TensorValue<number>;
  readonly out: TensorValue<number>;
  readonly optimized: TensorValue<number>;
  readonly sent: ReadonlyMap<ExchangeVerb, number>;
}

const random: Picks = (token, k) => threefry2x32(11, token, k, 0)[0] % 12;

function run(text: string, sizes: Sizes, mesh: Mesh, options: Options = {}): Run {
  const { graph, placements } = graphOf(text, sizes);
  const { capacityFactor, changeDevice, change = (same) => same, picks = random } = options;
  const inputs = inputsFor(graph, sizes, picks);
  const derived = change(deriveDispatch(graph, placements.inputs, mesh, { capacityFactor }));
  const placed = place(derived, { mesh, ...placements });
  if (placed.kind === 'misplaced') throw new Error(placed.faults.map(({ message }) => message).join('\n'));
  const device = localize(placed.placed);
  const changed: DeviceProgram = {
    ...device,
    graph: { ...device.graph, nodes: changeDevice?.(device.graph.nodes) ?? device.graph.nodes },
  };
  const ids = new Map(graph.inputs.map(({ path, tensor }) => [tensor.id, inputs.get(path)!]));
  const { outputs, sent } = evaluateOnMesh(changed, inputs, float64);
  const faster = evaluateOnMesh({ ...changed, graph: optimize(changed.graph) }, inputs, float64);
  return {
    inputs,
    wanted: evaluateGraph(graph, ids, float64).get('out')!,
    out: outputs.get('out')!,
    optimized: faster.outputs.get('out')!,
    sent,
  };
}

const network = `fn network(x: f32[D], up: f32[F, D], down: f32[D, F]) -> f32[D] {
  let h[f] = relu(sum d: x[d] * up[f, d])
  for d: sum f: h[f] * down[d, f]
}
`;

/** Tokens over all devices, experts over those of some axes. */
const picked = `${network}
export auto fn f(
  x: f32[T@(dp, ep, tp), D],
  pick: ix(E)[T@(dp, ep, tp), K],
  up: f32[E@(ep, tp), F, D],
  down: f32[E@(ep, tp), D, F],
) -> f32[T@(dp, ep, tp), D] =
  for t: sum k: network(x[t], up[pick[t, k]], down[pick[t, k]])`;

const sizes = { T: 24, E: 12, K: 2, D: 3, F: 2 };

const meshes: readonly Mesh[] = [
  { dp: 1, ep: 1, tp: 1 }, { dp: 2, ep: 1, tp: 1 }, { ep: 2 }, { tp: 3 }, { ep: 4, dp: 1 }, { ep: 2, tp: 2 },
  { tp: 2, ep: 2 }, { ep: 2, tp: 3 }, { dp: 2, ep: 2 }, { ep: 3, dp: 2 }, { dp: 2, tp: 3, ep: 1 },
  { dp: 2, ep: 3, tp: 2 }, { tp: 2, dp: 2, ep: 3 }, { ep: 12 }, { dp: 4, ep: 3 }, { dp: 2, ep: 2, tp: 3 },
].map((counts) => meshOf(counts)); // biome-ignore format: one table

const named = meshes.map(
  (mesh) => [mesh.axes.map(({ name, size }) => `${name}=${size}`).join(' '), mesh] as const,
);

const along = ({ axes: all }: Mesh, name: string): number =>
  all.find((axis) => axis.name === name)?.size ?? 1;

/** What one device sends for rows of D and slots for so many picks of each expert, there and back. */
function bytesSent(mesh: Mesh, slots: number, width: number): number {
  const group = along(mesh, 'ep') * along(mesh, 'tp');
  return 4 * (2 * (group - 1) * sizes.E * slots * width) / group; // biome-ignore format: one formula
}

const tokensOn = (mesh: Mesh): number =>
  sizes.T / (along(mesh, 'dp') * along(mesh, 'ep') * along(mesh, 'tp'));

const distributions: Readonly<Record<string, Picks>> = {
  random,
  'all tokens to one expert': () => 5,
  'few experts, most of them empty': (token) => [0, 11][token % 2]!,
  'one after another': (token, k) => (2 * token + k) % 12,
};

describe.each(named)('on %s', (_, mesh) => {
  test.each(Object.entries(distributions))('%s', (_name, picks) => {
    const { out, optimized, wanted, sent } = run(picked, sizes, mesh, { picks });
    expect(out).toEqual(wanted);
    expect(optimized).toEqual(wanted);
    const bytes = bytesSent(mesh, tokensOn(mesh) * sizes.K, sizes.D);
    expect(Object.fromEntries(sent)).toEqual(bytes === 0 ? {} : { all_to_all: bytes });
  });

  test('experts that are sorted out are different ones: a slot a token is enough', () => {
    const text = `${network}
      export auto fn f[K](
        x: f32[T@(dp, ep, tp), D], score: f32[T@(dp, ep, tp), E],
        up: f32[E@(ep, tp), F, D], down: f32[E@(ep, tp), D, F],
      ) -> f32[T@(dp, ep, tp), D] where K <= E =
        for t: {
          let (value, pick) = top_k[K](score[t])
          sum k: value[k] * network(x[t], up[pick[k]], down[pick[k]])
        }`;
    const { out, wanted, sent } = run(text, { ...sizes, K: 3 }, mesh);
    expect(out).toEqual(wanted);
    expect(sent.get('all_to_all') ?? 0).toBe(bytesSent(mesh, tokensOn(mesh), sizes.D));
  });

  test('what finds no slot gives 0', () => {
    const isDispatched = along(mesh, 'ep') * along(mesh, 'tp') > 1;
    const { inputs, out, sent } = run(picked, sizes, mesh, { capacityFactor: 1 });
    const slots = Math.ceil((2 * tokensOn(mesh)) / sizes.E);
    const { wanted, dropped } = withSlots(inputs, tokensOn(mesh), isDispatched ? slots : sizes.T * sizes.K);
    expect(out.data).toEqual(wanted);
    expect(dropped > 0).toBe(isDispatched);
    expect(sent.get('all_to_all') ?? 0).toBe(bytesSent(mesh, slots, sizes.D));
  });

  test('enough slots are as good as any number', () => {
    const { out, wanted } = run(picked, sizes, mesh, { capacityFactor: 100 });
    expect(out).toEqual(wanted);
  });
});

/** The same in loops: an expert takes the first picks of each block of tokens. Nothing is dropped where all experts are here. */
function withSlots(inputs: Tensors, block: number, slots: number) {
  const [x, pick, up, down] = ['x', 'pick', 'up', 'down'].map((path) => inputs.get(path)!.data);
  const { D, F, K, T } = sizes;
  const taken = new Map<string, number>();
  let dropped = 0;
  const wanted = range(T).flatMap((t) => {
    const total = new Array<number>(D).fill(0);
    for (const k of range(K)) {
      const e = pick![t * K + k]!;
      const key = `${Math.floor(t / block)} ${e}`;
      const place = taken.get(key) ?? 0;
      taken.set(key, place + 1);
      if (place >= slots) {
        dropped++;
        continue;
      }
      const h = range(F).map((f) =>
        Math.max(
          0,
          sum(D, (d) => x![t * D + d]! * up![(e * F + f) * D + d]!),
        ),
      );
      for (const d of range(D)) total[d]! += sum(F, (f) => h[f]! * down![(e * D + d) * F + f]!);
    }
    return total;
  });
  return { wanted: Float64Array.from(wanted), dropped };
}

/** Programs of other forms: tokens and experts over ep. */
const forms: readonly (readonly [string, string, Sizes])[] = [
  [
    'sequences that are cut over other devices, and a scale for each pick',
    `export auto fn f(
      x: f32[B@dp, T@ep, D], scale: f32[B@dp, T@ep, K], pick: ix(E)[B@dp, T@ep, K],
      w: f32[E@ep, F, D], bias: f32[E@ep, F],
    ) -> f32[B@dp, T@ep, F] =
      for b, t, f: sum k: relu(
        (sum d: scale[b, t, k] * x[b, t, d] * w[pick[b, t, k], f, d]) + bias[pick[b, t, k], f])`,
    { ...sizes, B: 4, T: 12 },
  ],
  [
    'a whole batch around the tokens, picks in another order, and one pick a token',
    `export auto fn f(x: f32[T@ep, B, D], pick: ix(E)[B, T@ep], w: f32[F, E@ep, D]) -> f32[B, T@ep, F] =
      for b, t, f: max d: x[t, b, d] * w[f, pick[b, t], d]`,
    { ...sizes, B: 2, K: 1 },
  ],
  [
    'layers in a loop',
    `export auto fn f(x: f32[T@(dp, ep), D], pick: ix(E)[T@(dp, ep), K], w: f32[L, E@ep, D, D])
      -> f32[T@(dp, ep), D] =
      fold l < L from h = x: for t, d: min(max(sum k: relu(sum i: h[t, i] * w[l, pick[t, k], d, i]), -9), 9)`,
    { ...sizes, L: 3 },
  ],
  [
    'two regions, the second of which picks by what the first gives',
    `fn best(x: f32[D], w: f32[E, D, D], gate: f32[E, D]) -> f32[D] where 1 <= E {
      let (value, pick) = top_k[1](for e: sum d: x[d] * gate[e, d])
      for d: relu(sum i: x[i] * w[pick[0], d, i])
    }
    export auto fn f(x: f32[T@ep, D], w: f32[E@ep, D, D], v: f32[E@ep, D, D], gate: f32[E, D]) -> f32[T@ep, D]
      where 1 <= E =
      for t: best(best(x[t], w, gate), v, gate)`,
    sizes,
  ],
  [
    'a pick that is an expression',
    `export auto fn f(x: f32[T@ep, D], pick: ix(E)[T@ep, K], w: f32[E@ep, D, D], v: f32[E@ep, D, D])
      -> f32[T@ep, D] where 1 <= E, 2 <= K =
      for t: {
        let e = clamp_index[E](pick[t, 0] + pick[t, 1] - 3)
        let h[d] = relu(sum i: x[t, i] * w[e, d, i])
        for d: sum i: h[i] * v[e, d, i]
      }`,
    sizes,
  ],
  [
    'one pick for two regions with a sum over all tokens between them',
    `export auto fn f(x: f32[T@ep, D], pick: ix(E)[T@ep], w: f32[E@ep, D, D], v: f32[E@ep, D, D])
      -> f32[T@ep, D] {
      let h[t, d] = relu(sum i: x[t, i] * w[pick[t], d, i])
      let total = all_reduce(for d: sum t: h[t, d], ep)
      for t, d: relu(sum i: (h[t, i] + total[i]) * v[pick[t], d, i])
    }`,
    { ...sizes, K: 1 },
  ],
  [
    'what is computed for a token on the way, and a table that every device has',
    `export auto fn f(
      x: bf16[T@ep, D], pick: ix(E)[T@ep, K], name: ix(V)[T@ep], table: f32[V, F],
      up: f32[E@ep, F, D], down: f32[E@ep, D, F], shift: f32[E, F],
    ) -> f32[T@ep, D] =
      for t, d: sum k: {
        let h[f] = relu(sum d: x[t, d] * up[pick[t, k], f, d]) + table[name[t], f]
        let g[f] = max(h[f], shift[pick[t, k], f])
        sum f: g[f] * down[pick[t, k], d, f]
      }`,
    { ...sizes, V: 5 },
  ],
];

describe.each(forms)('%s', (_, text, own) => {
  const fitting = [{ ep: 2 }, { ep: 3, dp: 2 }, { dp: 2, ep: 6 }, { dp: 4 }].map((counts) => meshOf(counts));
  test.each(fitting.map((mesh) => [JSON.stringify(mesh.axes), mesh] as const))('%s', (_name, mesh) => {
    const { out, optimized, wanted, sent } = run(text, own, mesh);
    expect(out).toEqual(wanted);
    expect(optimized).toEqual(wanted);
    expect(sent.has('all_to_all')).toBe(along(mesh, 'ep') > 1);
  });
});

test.each([
  ['a token that knows its position', 'for t, d: relu(sum i: (x[t, i] + f32(t)) * w[pick[t], d, i])'],
  ['a neighbour of the token', 'for t, d: relu(sum i: x[(t + 1) % T, i] * w[pick[t], d, i])'],
  ['a row of a table', 'for t, d: x[t, d] + w[pick[t], d, 0]'],
  ['a sum over tokens', 'for t, d: relu(sum s: x[s, d] * w[pick[s], d, 0] * x[t, d])'],
])('%s is not dispatched', (_, body) => {
  const text = `export auto fn f(x: f32[T@ep, D], pick: ix(E)[T@ep], w: f32[E@ep, D, D]) -> f32[T@ep, D]
    where 1 <= T, 1 <= D = ${body}`;
  const mesh = meshOf({ ep: 2 });
  const { graph, placements } = graphOf(text, sizes);
  expect(deriveDispatch(graph, placements.inputs, mesh, { capacityFactor: undefined })).toBe(graph);
  expect(place(graph, { mesh, ...placements }).kind).toBe('misplaced');
});

/** The slots as they are before they are sent: as many rows as picks, each where its expert is, and zeros. */
function slotsOf(change: (graph: Graph) => Graph) {
  const { graph, placements } = graphOf(picked, sizes);
  const mesh = meshOf({ ep: 4 });
  const inputs = inputsFor(graph, sizes, random);
  const derived = change(deriveDispatch(graph, placements.inputs, mesh, { capacityFactor: 2 }));
  const move = derived.nodes.find((node) => node.kind === 'collective' && node.change.kind === 'all_to_all');
  if (move?.kind !== 'collective') throw new Error('nothing is sent');
  const ids = new Map(graph.inputs.map(({ path, tensor }) => [tensor.id, inputs.get(path)!]));
  const seen = { ...derived, outputs: [{ path: 'slots', tensor: move.source }] };
  const { data } = evaluateGraph(seen, ids, float64).get('slots')!;
  const slots = move.result.shape[2]!;
  const [x, pick] = ['x', 'pick'].map((path) => inputs.get(path)!.data);
  const { D, E, K, T } = sizes;
  const wanted = range(4).flatMap((p) =>
    range(E).flatMap((e) => {
      const own = range((T / 4) * K).filter((n) => pick![p * (T / 4) * K + n] === e);
      return range(slots).flatMap((c) =>
        range(D).map((d) => (c < own.length ? x![(p * (T / 4) + Math.floor(own[c]! / K)) * D + d]! : 0)),
      );
    }),
  );
  return { data, wanted: Float64Array.from(wanted) };
}

const withNodes =
  (change: (node: Node) => Node) =>
  (graph: Graph): Graph => ({ ...graph, nodes: graph.nodes.map(change) });

test('a slot holds the row of its pick, or zeros', () => {
  const { data, wanted } = slotsOf((graph) => graph);
  expect(data).toEqual(wanted);
});

describe('what is wrong is seen', () => {
  const mesh = meshOf({ ep: 4 });
  const isWrong = (options: Options) => {
    const { out, wanted } = run(picked, sizes, mesh, options);
    expect(out).not.toEqual(wanted);
  };

  test('slots without zeros where they are empty', () => {
    const { data, wanted } = slotsOf(
      withNodes((node) =>
        node.kind === 'compute' && node.body.op === 'apply' && node.result.shape.length === 4
          ? { ...node, body: node.body.function === 'select' ? node.body.operands[1]! : node.body }
          : node,
      ),
    );
    expect(data).not.toEqual(wanted);
  });

  test('picks in the same slot', () => {
    isWrong({ change: withNodes((node) => (node.kind === 'prefix' ? { ...node, combiner: 'max' } : node)) });
  });

  test('slots of the last tokens first', () => {
    isWrong({
      change: withNodes((node) => (node.kind === 'order' ? { ...node, direction: 'ascending' } : node)),
    });
  });

  test.each([0, 1])('blocks that come from the neighbour: exchange %i', (which) => {
    let at = 0;
    isWrong({
      changeDevice: (nodes) =>
        nodes.map((node) =>
          node.kind === 'exchange' && at++ === which ? { ...node, verb: 'shift' as const } : node,
        ),
    });
  });
});
