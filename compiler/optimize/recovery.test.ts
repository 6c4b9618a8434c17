/** What programs written plainly become: the forms that the kernels of the later stages are made for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ComputeNode, Graph, Node, SoftmaxSumNode } from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import { printGraph } from '../graph/print.ts';
import { loadsOf } from '../graph/scalar.ts';
import { elementCount } from '../graph/tensor-type.ts';
import { allNodes, nodeScalars } from '../graph/uses.ts';
import {
  evaluateForTest, expectClose, lowerText, type TestTensor, type TestTensors, tabulate, testNumbers,
} from '../lower/testing.ts'; // biome-ignore format: one import a file
import { contractionOf } from './contraction.ts';
import { joinSoftmax } from './join-softmax.ts';
import { optimize, passes } from './passes.ts';
import { optimizedDeviceGraph } from './testing.ts';

/** Of f32 constants folded, and of sums in another order. */
const tolerance = 1e-6;

/** `fn f` optimized, and seen to give what it gave before. */
function optimized(
  text: string,
  inputs: TestTensors,
  sizes: Readonly<Record<string, number>> = {},
  run: (graph: Graph) => Graph = optimize,
): Graph {
  const graph = lowerText(`module m\n${text}`, 'f', inputs, { sizes });
  const result = run(graph);
  const found = evaluateForTest(result, inputs);
  for (const [path, tensor] of Object.entries(evaluateForTest(graph, inputs)))
    expectClose(found[path], tensor, tolerance);
  return result;
}

function nodesOf<K extends Node['kind']>(graph: Graph, kind: K): readonly Extract<Node, { kind: K }>[] {
  return [...allNodes(graph)].filter((node): node is Extract<Node, { kind: K }> => node.kind === kind);
}

/** Elements of the largest tensor that the graph computes. */
function largestResult(graph: Graph): number {
  return Math.max(...[...allNodes(graph)].flatMap(results).map(elementCount));
}

describe('contractions', () => {
  const [M, K, N] = [4, 6, 5];
  const inputs = { x: testNumbers([M, K]), w: testNumbers([N, K], 2), b: testNumbers([N], 3) };

  test('a product, its prologue and its epilogue are one node', () => {
    const graph = optimized(
      `fn f(x: f32[M, K], w: f32[N, K], b: f32[N]) -> f32[M, N] {
        let h[m, k] = x[m, k] * 2.0 + 1.0
        for m, n: exp(b[n] + (sum k: h[m, k] * w[n, k]))
      }`,
      inputs,
    );
    const [node, ...others] = nodesOf(graph, 'compute');
    expect(others.map(({ result }) => result.name)).toEqual([]);
    expect(node!.reduce!.finish).toBeDefined();
    expect(contractionOf(node!)).toMatchObject({ batch: [], rows: [0], columns: [1], reduced: [2] });
  });

  test('axes are told apart however the factors are written', () => {
    const graph = optimized(
      `fn f(x: f32[B, M, K], w: f32[B, K, N]) -> f32[N, B, M] = for n, b, m: sum k: w[b, k, n] * x[b, m, k]`,
      { x: testNumbers([2, M, K]), w: testNumbers([2, K, N], 2) },
    );
    expect(contractionOf(nodesOf(graph, 'compute')[0]!)).toMatchObject({
      batch: [1],
      rows: [0],
      columns: [2],
      reduced: [3],
    });
  });

  test('a sum of one row by one row is none', () => {
    const graph = optimized(`fn f(x: f32[M, K], y: f32[M, K]) -> f32[M] = for m: sum k: x[m, k] * y[m, k]`, {
      x: inputs.x,
      y: testNumbers([M, K], 5),
    });
    expect(contractionOf(nodesOf(graph, 'compute')[0]!)).toBeUndefined();
  });
});

describe('sums weighted by a softmax', () => {
  const [S, A] = [24, 4];
  const inputs = { q: testNumbers([S, A]), k: testNumbers([S, A], 2), v: testNumbers([S, A], 3) };
  const header = 'fn f(q: f32[S, A], k: f32[S, A], v: f32[S, A])';

  function streamed(text: string, more: TestTensors = {}): SoftmaxSumNode {
    const graph = optimized(text, { ...inputs, ...more });
    const nodes = nodesOf(graph, 'softmaxSum');
    expect(nodes, printGraph(graph)).toHaveLength(1);
    expect(largestResult(graph), printGraph(graph)).toBeLessThan(S * S);
    return nodes[0]!;
  }

  test('become one node that stores no scores', () => {
    const node = streamed(`${header} -> f32[S, A] {
      let p[s] = softmax(for u: (sum a: q[s, a] * k[u, a]) / sqrt(A))
      for s: sum u: p[s, u] * v[u]
    }`);
    expect(node).toMatchObject({ extent: S, scoreExtents: [A], visible: undefined, valueAxes: [1] });
  });

  test('with a mask, and a cap of the scores', () => {
    const node = streamed(`import attention
    ${header} -> f32[S, A] = for s: attention.attend_capped(q[s], k, v, for u: u <= s, 5.0)`);
    expect(node.visible).toBeDefined();
    expect(node.scoreExtents).toEqual([A]);
  });

  test('where some rows see nothing', () => {
    const document: TestTensor = tabulate([S], (s) => s % 3);
    const node = streamed(
      `import attention
      fn f(q: f32[S, A], k: f32[S, A], v: f32[S, A], document: i32[S]) -> f32[S, A] =
        for s: attention.attend(q[s], k, v, for u: u < s and document[u] == document[s])`,
      { document },
    );
    expect(node.visible).toBeDefined();
  });

  test('with heads that share keys', () => {
    const [G, R] = [2, 3];
    const graph = optimized(
      `import attention
      fn f(q: f32[S, G * R, A], k: f32[S, G, A], v: f32[S, G, A]) -> f32[S, G * R, A] =
        attention.causal(q, k, v)`,
      { q: testNumbers([S, G * R, A]), k: testNumbers([S, G, A], 2), v: testNumbers([S, G, A], 3) },
      { G },
    );
    expect(nodesOf(graph, 'softmaxSum')).toHaveLength(1);
    expect(largestResult(graph)).toBe(S * G * R * A);
  });

  test('with the logarithm of its total, which some rows do not have', () => {
    const [S, U, H, A] = [40, 1100, 2, 4];
    const more = { q: testNumbers([S, H, A]), k: testNumbers([U, H, A], 2), v: testNumbers([U, H, A], 3) };
    const text = `import attention
      import attention_gradient
      fn f(q: f32[S, H, A], k: f32[U, H, A], v: f32[U, H, A]) -> (f32[S, H, A], f32[S, H]) {
        let sees[s < S, u < U] = u <= 20 * s and s % 2 == 1
        (
          for s, h: attention.attend(q[s, h], k[:, h], v[:, h], sees[s]),
          for s, h: attention_gradient.log_total(q[s, h], k[:, h], sees[s]),
        )
      }`;
    // Rows as few as these stay apart by themselves.
    expect(nodesOf(optimized(text, more), 'softmaxSum')).toHaveLength(2);
    const graph = optimized(text, more, {}, (one) =>
      passes.reduce((of, { name, run }) => (name === 'join-softmax' ? joinSoftmax(of, 1) : run(of)), one),
    );
    expect(nodesOf(graph, 'softmaxSum')).toMatchObject([{ partial: {}, visible: {}, scoreExtents: [A] }]);
    expect(nodesOf(graph, 'compute').filter(({ reduce }) => reduce !== undefined)).toEqual([]);
  });

  test('inside a fold', () => {
    const graph = optimized(
      `fn f(x: f32[S, A], w: f32[L, A, A]) -> f32[S, A] = fold m in w from h = x: {
        let q[s, a] = sum b: h[s, b] * m[a, b]
        let p[s] = softmax(for u: sum a: q[s, a] * h[u, a], where: for u: u <= s)
        for s: sum u: p[s, u] * h[u]
      }`,
      { x: inputs.q, w: testNumbers([3, A, A], 4) },
    );
    expect(nodesOf(graph, 'softmaxSum')).toHaveLength(1);
    expect(largestResult(graph)).toBeLessThan(S * S);
  });

  test('before what is done with each of them', () => {
    const node = streamed(`${header} -> f32[S, A] {
      let p[s] = softmax(for u: sum a: q[s, a] * k[u, a])
      for s, a: q[s, a] * (sum u: p[s, u] * v[u, a]) + 1
    }`);
    expect(node).toMatchObject({ extent: S, scoreExtents: [A] });
  });

  test('stay as they are when the weights are wanted too', () => {
    const graph = optimized(
      `fn f(q: f32[S, A], k: f32[S, A], v: f32[S, A]) -> (f32[S, A], f32[S, S]) {
        let p[s] = softmax(for u: sum a: q[s, a] * k[u, a])
        (for s: sum u: p[s, u] * v[u], p)
      }`,
      inputs,
    );
    expect(nodesOf(graph, 'softmaxSum')).toEqual([]);
  });

  test('are not taken for it when the sum is over something else', () => {
    const graph = optimized(
      `${header} -> f32[S, A] {
        let p[s] = softmax(for u: sum a: q[s, a] * k[u, a])
        for u: sum s: p[s, u] * v[s]
      }`,
      inputs,
    );
    expect(nodesOf(graph, 'softmaxSum')).toEqual([]);
  });
});

describe('logarithms of sums of exponentials', () => {
  const [T, D, V] = [4, 2, 1100];
  const inputs = {
    h: testNumbers([T, D]),
    w: testNumbers([V, D], 2),
    y: tabulate([T], (t) => (t * 401) % V),
    b: testNumbers([V], 3),
  };
  const header = 'fn f(h: f32[T, D], w: f32[V, D], y: ix(V)[T], b: f32[V])';
  const logits = 'sum d: h[t, d] * w[v, d]';

  /** Whether what has an element for each row and logit is stored. */
  function isStored(graph: Graph): boolean {
    return largestResult(graph) >= T * V;
  }

  test.each([
    ['of a product', `for t: logsumexp(for v: ${logits})`],
    ['with targets', `{ let x[t, v] = ${logits}  for t: loss.cross_entropy(x[t], y[t]) }`],
    ['with a cap and a bias', `for t: logsumexp(for v: soft_cap(b[v] + (${logits}), 3))`],
    ['of logits that are not all allowed', `for t: logsumexp(for v: if b[v] < 0 then ${logits} else -1e30)`],
    [
      'beside their squares',
      `{ let x[t, v] = ${logits}  for t: loss.cross_entropy(x[t], y[t]) + loss.z_loss(x) }`,
    ],
  ])('%s store no logits', (_, body) => {
    const graph = optimized(`import loss\n${header} -> f32[T] = ${body.replaceAll('  ', '\n')}`, inputs);
    expect(nodesOf(graph, 'softmaxSum')).toHaveLength(1);
    expect(isStored(graph), printGraph(graph)).toBe(false);
  });

  test.each([
    [
      'whose logits are wanted too',
      'f32[T]',
      `{ let x[t, v] = ${logits}  for t: logsumexp(x[t]) + (sum v: x[t, v]) }`,
    ],
    ['over the rows', 'f32[V]', `for v: logsumexp(for t: ${logits})`],
    ['of logits that were there', 'f32[T]', 'for t: logsumexp(for v: b[v] * b[y[t]])'],
  ])('%s stay as they are', (_, type, body) => {
    const graph = optimized(`${header} -> ${type} = ${body.replaceAll('  ', '\n')}`, inputs);
    expect(nodesOf(graph, 'softmaxSum')).toEqual([]);
  });

  test('of logits that devices have parts of', () => {
    const text = readFileSync(
      join(import.meta.dirname, '../../property-tests/programs/sharded.ricci'),
      'utf8',
    );
    const mesh = {
      axes: [
        { name: 'dp', size: 1 },
        { name: 'tp', size: 2 },
      ],
    };
    const graph = optimizedDeviceGraph(text, 'cross_entropy', { T, D, V: 2 * V }, mesh);
    expect(nodesOf(graph, 'softmaxSum')).toHaveLength(1);
    expect(isStored(graph), printGraph(graph)).toBe(false);
  });

  test('of few rows stay as they are', () => {
    const few = { ...inputs, h: testNumbers([2, D]), y: tabulate([2], () => 7) };
    const graph = optimized(`${header} -> f32[T] = for t: logsumexp(for v: ${logits})`, few);
    expect(nodesOf(graph, 'softmaxSum')).toEqual([]);
  });
});

describe('looked-up experts', () => {
  const [T, D, F, E, K] = [6, 8, 16, 4, 2];
  const weights = (seed: number) => testNumbers([E, F, D], seed);
  const inputs = {
    x: testNumbers([T, D]),
    gate: testNumbers([E, D], 2),
    'experts.gate': weights(3),
    'experts.up': weights(4),
    'experts.down': testNumbers([E, D, F], 5),
  };
  const text = `import moe
    fn f(x: f32[T, D], gate: f32[4, D], experts: moe.Ffn(D, F)[4]) -> f32[T, D] =
      for t: moe.moe[2](x[t], gate, experts)`;

  function grouped(graph: Graph): readonly ComputeNode[] {
    return nodesOf(graph, 'compute').filter((node) => node.grouped !== undefined);
  }

  test('are routed once, and run as one grouped product a weight', () => {
    const graph = optimized(text, { ...inputs, 'experts.down': testNumbers([E, D, F], 5) });
    const [route, ...others] = nodesOf(graph, 'route');
    expect(others).toEqual([]);
    expect(route).toMatchObject({ experts: E });
    const weightsRead = grouped(graph).flatMap((node) =>
      nodeScalars(node).flatMap((scalar) => loadsOf(scalar).map(({ tensor }) => tensor)),
    );
    const paths = new Map(graph.inputs.map(({ path, tensor }) => [tensor.id, path]));
    const named = weightsRead.flatMap((tensor) => paths.get(tensor) ?? []);
    expect(named).toEqual(expect.arrayContaining(['experts.gate', 'experts.up']));
    for (const node of grouped(graph)) {
      expect(node.grouped).toMatchObject({ order: route!.order.id, offsets: route!.offsets.id, experts: E });
      expect(elementCount(node.result)).toBeLessThanOrEqual(T * K * F);
    }
  });

  test('a few rows are not worth sorting', () => {
    const graph = optimized(text, { ...inputs, x: testNumbers([2, D]) });
    expect(nodesOf(graph, 'route')).toEqual([]);
  });
});

describe('fusion', () => {
  test('equal parts are computed once, and what nobody reads not at all', () => {
    const graph = optimized(
      `fn f(x: f32[M, K]) -> f32[M] {
        let first[m] = sum k: exp(x[m, k])
        let unused[m] = max k: x[m, k]
        let second[m] = sum k: exp(x[m, k])
        for m: first[m] * second[m] + first[m]
      }`,
      { x: testNumbers([4, 6]) },
    );
    expect(nodesOf(graph, 'compute')).toHaveLength(1);
  });

  test('the gate of a feed-forward network is not stored, in a fold or outside', () => {
    const [T, D, F, L] = [4, 8, 32, 3];
    const program = (rest: string) => `type Ffn(D, F) = { gate: f32[F, D], up: f32[F, D], down: f32[D, F] }
      fn ffn(x: f32[T, D], w: Ffn(D, F)) -> f32[T, D] {
        let g[t, f] = sum d: x[t, d] * w.gate[f, d]
        let u[t, f] = sum d: x[t, d] * w.up[f, d]
        for t, d: sum f: silu(g[t, f]) * u[t, f] * w.down[d, f]
      }
      ${rest}`;
    const once = optimized(program('fn f(x: f32[T, D], w: Ffn(D, F)) -> f32[T, D] = ffn(x, w)'), {
      x: testNumbers([T, D]),
      'w.gate': testNumbers([F, D], 2),
      'w.up': testNumbers([F, D], 3),
      'w.down': testNumbers([D, F], 4),
    });
    const folded = optimized(
      program('fn f(x: f32[T, D], w: Ffn(D, F)[L]) -> f32[T, D] = fold l in w from h = x: ffn(h, l)'),
      {
        x: testNumbers([T, D]),
        'w.gate': testNumbers([L, F, D], 2),
        'w.up': testNumbers([L, F, D], 3),
        'w.down': testNumbers([L, D, F], 4),
      },
    );
    for (const graph of [once, folded]) {
      const computed = nodesOf(graph, 'compute');
      expect(
        computed.filter(({ reduce }) => reduce === undefined),
        printGraph(graph),
      ).toEqual([]);
      expect(computed).toHaveLength(3);
    }
  });
});
