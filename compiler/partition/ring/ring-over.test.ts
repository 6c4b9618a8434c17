/** Attention as a ring: on every mesh the same as it is written, and never all keys on a device. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Mesh, Placement } from '../../../dsl/placement/placement.ts';
import type { TensorValue } from '../../graph/algebra.ts';
import { evaluateGraph } from '../../graph/evaluate.ts';
import { float64 } from '../../graph/float64.ts';
import type { Graph, Scalar } from '../../graph/graph.ts';
import { apply, float, mapScalar } from '../../graph/scalar.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { threefry2x32 } from '../../graph/threefry.ts';
import { allNodes, allTensors, mapNodeScalars } from '../../graph/uses.ts';
import { entryPlacements } from '../../lower/entry-placements.ts';
import { lowerEntry } from '../../lower/lower-entry.ts';
import { checkText, expectClose } from '../../lower/testing.ts';
import { optimize } from '../../optimize/passes.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import { localize } from '../localize.ts';
import { place } from '../place.ts';
import { meshOf } from '../testing.ts';
import { ringOver } from './ring-over.ts';

type Sizes = Readonly<Record<string, number>>;
type Tensors = ReadonlyMap<string, TensorValue<number>>;

function graphOf(text: string, sizes: Sizes) {
  const program = checkText(`import attention\nmesh (sp, tp)\n${text}`);
  const own = Object.entries(sizes).filter(([name]) => program.entries.get('f')!.sizes.includes(name));
  const lowered = lowerEntry(program, 'f', { sizes: new Map(own), inputDtypes: new Map() });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  return { graph: lowered.graph, placements: entryPlacements(program, 'f') };
}

/** Multiples of 1/8, of both signs; documents of five tokens. */
function inputsFor({ inputs }: Graph): Tensors {
  return new Map(
    inputs.map(({ path, tensor }) => {
      const data = Float64Array.from({ length: elementCount(tensor) }, (_, at) =>
        path === 'document' ? Math.floor(at / 5) : ((threefry2x32(7, tensor.id, at, 0)[0] % 33) - 16) / 8,
      );
      return [path, { dtype: tensor.dtype, shape: tensor.shape, data }];
    }),
  );
}

interface Run {
  readonly wanted: TensorValue<number>;
  readonly out: TensorValue<number>;
  readonly optimized: TensorValue<number>;
  /** What a device runs, optimized. */
  readonly device: Graph;
}

function run(text: string, sizes: Sizes, mesh: Mesh, change = (graph: Graph): Graph => graph): Run {
  const { graph, placements } = graphOf(text, sizes);
  const placed = place(change(ringOver(graph, 'sp', mesh)), { mesh, ...placements });
  if (placed.kind === 'misplaced') throw new Error(placed.faults.map(({ message }) => message).join('\n'));
  const device = localize(placed.placed);
  const faster = optimize(device.graph);
  const inputs = inputsFor(graph);
  const ids = new Map(graph.inputs.map(({ path, tensor }) => [tensor.id, inputs.get(path)!]));
  return {
    wanted: evaluateGraph(graph, ids, float64).get('out')!,
    out: evaluateOnMesh(device, inputs, float64).outputs.get('out')!,
    optimized: evaluateOnMesh({ ...device, graph: faster }, inputs, float64).outputs.get('out')!,
    device: faster,
  };
}

const values = ({ data, shape }: TensorValue<number>) => ({ data: Array.from(data), shape });

function expectSame({ optimized, out, wanted }: Run): void {
  expectClose(values(out), values(wanted));
  expectClose(values(optimized), values(wanted));
}

const verbsOf = (graph: Graph): ReadonlySet<string> =>
  new Set(allNodes(graph).flatMap((node) => (node.kind === 'exchange' ? [node.verb] : [])));

const parameters = 'q: f32[S@sp, G * R@tp, A], k: f32[S@sp, G@tp, A], v: f32[S@sp, G@tp, B]';
const fn = (more: string, body: string): string =>
  `export auto fn f(${parameters}${more}) -> f32[S@sp, G * R@tp, B] =\n  ${body}`;

const attentions: Readonly<Record<string, string>> = {
  causal: fn('', 'attention.causal(q, k, v)'),
  full: fn('', 'attention.full(q, k, v)'),
  windowed: fn('', 'attention.windowed[5](q, k, v)'),
  'of documents': fn(', document: i32[S@sp]', 'attention.documents(q, k, v, document)'),
  'with capped scores': fn('', 'attention.causal_capped(q, k, v, 2.0)'),
  'with slopes, which are of heads': fn(
    ', slope: f32[G * R@tp]',
    `for s, (g, r): {
      let score[u] = (sum a: q[s, (g, r), a] * k[u, g, a]) - slope[(g, r)] * f32(s - i32(u))
      let p = softmax(score, where: for u: u <= s)
      for b: sum u: p[u] * v[u, g, b]
    }`,
  ),
  'with a bias of queries and keys': fn(
    ', bias: f32[S@sp, S]',
    `for s, (g, r): {
      let p = softmax(for u: (sum a: q[s, (g, r), a] * k[u, g, a]) + bias[s, u])
      for b: sum u: p[u] * v[u, g, b]
    }`,
  ),
};

const instances = fc.record({
  sp: fc.integer({ min: 1, max: 5 }),
  tp: fc.integer({ min: 1, max: 2 }),
  isSpFirst: fc.boolean(),
  block: fc.integer({ min: 1, max: 4 }),
  heads: fc.integer({ min: 1, max: 2 }),
  R: fc.integer({ min: 1, max: 3 }),
});

test.each(Object.entries(attentions))('attention %s is the same on every mesh', (_, text) => {
  fc.assert(
    fc.property(instances, ({ block, heads, isSpFirst, R, sp, tp }) => {
      const mesh = meshOf(isSpFirst ? { sp, tp } : { tp, sp });
      const found = run(text, { S: sp * block, G: tp * heads, R, A: 4, B: 3 }, mesh);
      expectSame(found);
      expect([...verbsOf(found.device)]).toEqual(sp > 1 ? ['shift'] : []);
    }),
    { numRuns: 15, endOnFailure: true },
  );
});

const others: Readonly<Record<string, string>> = {
  'a batch': `
    export auto fn f(q: f32[N, S@sp, A], k: f32[N, S@sp, A], v: f32[N, S@sp, B]) -> f32[N, S@sp, B] =
    for n, s: attention.attend(q[n, s], k[n], v[n], for u: u <= s)`,
  'heads before queries, one for all keys': `
    export auto fn f(q: f32[H, S@sp, A], k: f32[S@sp, A], v: f32[S@sp, B]) -> f32[H, S@sp, B] =
      for h, s: attention.attend(q[h, s], k, v, for u: u <= s)`,
  'keys of another sequence': `
    export auto fn f(q: f32[S@sp, A], k: f32[U@sp, A], v: f32[U@sp, B]) -> f32[S@sp, B] =
      for s: attention.attend(q[s], k, v, for u: true)`,
  'layers in a loop': `
    export auto fn f(x: f32[S@sp, A], w: f32[L, A, A]) -> f32[S@sp, A] =
      fold layer in w from h = x: {
        let k[s, a] = sum b: h[s, b] * layer[b, a] / 16
        for s: attention.attend(h[s], k, h, for u: u <= s)
      }`,
  'two attentions, one of what the other gives': `
    export auto fn f(q: f32[S@sp, A], k: f32[S@sp, A]) -> f32[S@sp, A] {
      let first = for s: attention.attend(q[s], k, k, for u: u <= s)
      for s: attention.attend(q[s], first, k, for u: s <= u)
    }`,
};

test.each(Object.entries(others))('%s: the same, as a ring', (_, text) => {
  const found = run(text, { S: 20, U: 24, N: 2, H: 4, L: 3, A: 4, B: 3 }, meshOf({ sp: 4 }));
  expectSame(found);
  expect([...verbsOf(found.device)]).toEqual(['shift']);
});

test('no device has all keys, nor scores', () => {
  const sizes = { S: 28, G: 2, R: 3, A: 4, B: 3 };
  for (const text of ['causal', 'full', 'windowed', 'of documents'].map((name) => attentions[name]!)) {
    const { device } = run(text, sizes, meshOf({ sp: 4 }));
    const shapes = [...allTensors(device).values()].map(({ shape }) => shape);
    expect(shapes.filter((shape) => shape.includes(28))).toEqual([]);
    expect(shapes.filter((shape) => shape.filter((extent) => extent === 7).length > 1)).toEqual([]);
  }
});

test('what is no attention to divide stays as it is', () => {
  const left: Readonly<Record<string, readonly [string, Sizes]>> = {
    'no attention': ['export auto fn f(x: f32[S, A]) -> f32[S] = for s: sum a: x[s, a]', { S: 8, A: 4 }],
    'not divided': [attentions.causal!, { S: 6, G: 1, R: 1, A: 4, B: 3 }],
    'one query': [
      `export auto fn f(q: f32[S, A], k: f32[U, A], v: f32[U, B]) -> f32[S, B] =
        for s: attention.attend(q[s], k, v, for u: true)`,
      { S: 1, U: 32, A: 4, B: 3 },
    ],
    'keys out of order': [
      `export auto fn f(q: f32[S, A], k: f32[S, A], v: f32[S, B], at: ix(S)[S]) -> f32[S, B] =
        for s: attention.attend(q[s], for u: k[at[u]], v, for u: u <= s)`,
      { S: 8, A: 4, B: 3 },
    ],
    'weights that are given too': [
      `export auto fn f(q: f32[S, A], k: f32[S, A]) -> (f32[S, S], f32[S, A]) {
        let p[s, u] = softmax(for u: sum a: q[s, a] * k[u, a])[u]
        (p, for s, a: sum u: p[s, u] * k[u, a])
      }`,
      { S: 8, A: 4 },
    ],
  };
  for (const [name, [text, sizes]] of Object.entries(left)) {
    const { graph } = graphOf(text, sizes);
    expect(ringOver(graph, 'sp', meshOf({ sp: 4 })), name).toBe(graph);
  }
});

test('attention of what each device has is of no more', () => {
  const program = checkText(`import attention\nmesh (sp)
    export fn f(q: f32[S@sp, H, A], k: f32[S@sp, H, A], v: f32[S@sp, H, A]) -> f32[S@sp, H, A] =
      per_device sp (q, k, v) {
        for s, h: attention.attend(q[s, h], k[:, h], v[:, h], for u: true)
      }`);
  const sizes = new Map(Object.entries({ S: 32, H: 2, A: 4, sp: 4 }));
  const lowered = lowerEntry(program, 'f', { sizes, inputDtypes: new Map() });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  expect(ringOver(lowered.graph, 'sp', meshOf({ sp: 4 }))).toBe(lowered.graph);
});

test('what the axis divides by heads is not entered by queries: a device has no whole block of it', () => {
  const { graph, placements } = graphOf(attentions.causal!, { S: 8, G: 4, R: 1, A: 4, B: 3 });
  const mesh = meshOf({ sp: 4 });
  const byHeads: Placement = { dims: [[], ['sp'], []], pending: new Map() };
  const inputs = new Map([...placements.inputs, ['q', byHeads] as const]);
  const found = place(ringOver(graph, 'sp', mesh), { mesh, ...placements, inputs });
  expect(found.kind === 'misplaced' && found.faults.map(({ axes, rule }) => ({ axes, rule }))).toEqual([
    { axes: ['sp'], rule: 'collectives fit' },
  ]);
});

// ── mutants ────────────────────────────────────────────────────────────────────────────────────────────────

function inAllNodes({ nodes, ...graph }: Graph, change: (scalar: Scalar) => Scalar): Graph {
  return {
    ...graph,
    nodes: nodes.map((node) =>
      node.kind === 'loop'
        ? { ...node, body: inAllNodes(node.body, change) }
        : mapNodeScalars(node, (scalar) => mapScalar(scalar, change)),
    ),
  };
}

const isApply = (scalar: Scalar | undefined, name: string): scalar is Extract<Scalar, { op: 'apply' }> =>
  scalar?.op === 'apply' && scalar.function === name;

const block = 5;
const mutants: Readonly<Record<string, (graph: Graph) => Graph>> = {
  'keys come from the other direction': (graph) =>
    inAllNodes(graph, (scalar) =>
      isApply(scalar, 'sub') && scalar.operands[0]!.op === 'coordinate'
        ? apply('add', ...scalar.operands)
        : scalar,
    ),
  'positions are those in the block': (graph) =>
    inAllNodes(graph, (scalar) => {
      if (!isApply(scalar, 'add')) return scalar;
      const [start, offset] = scalar.operands as [Scalar, Scalar];
      const factor = isApply(start, 'mul') ? start.operands[1] : undefined;
      return factor?.op === 'constant' && factor.value === block ? offset : scalar;
    }),
  'what came before is not made smaller': (graph) =>
    inAllNodes(graph, (scalar) => {
      if (!isApply(scalar, 'exp')) return scalar;
      const [difference] = scalar.operands;
      const isKept = isApply(difference, 'sub') && difference.operands.every(({ op }) => op === 'load');
      return isKept ? float(1) : scalar;
    }),
  'keys stay': (graph) => ({
    ...graph,
    nodes: graph.nodes.map((node) => {
      if (node.kind !== 'loop') return node;
      const shifts = new Map(
        node.body.nodes.flatMap((inner) =>
          inner.kind === 'exchange' ? [[inner.result.id, inner.source] as const] : [],
        ),
      );
      const outputs = node.body.outputs.map((output) => ({
        ...output,
        tensor: shifts.get(output.tensor) ?? output.tensor,
      }));
      return { ...node, body: { ...node.body, outputs } };
    }),
  }),
};

test.each(Object.entries(mutants))('it is noticed when %s', (_, mutant) => {
  const sizes = { S: 4 * block, G: 2, R: 3, A: 4, B: 3 };
  const mesh = meshOf({ sp: 4 });
  expectSame(run(attentions.windowed!, sizes, mesh));
  const { out, wanted } = run(attentions.windowed!, sizes, mesh, mutant);
  expect(() => expectClose(values(out), values(wanted))).toThrow();
});
