import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { Algebra, TensorValue } from './algebra.ts';
import { evaluateGraph } from './evaluate.ts';
import { float64 } from './float64.ts';
import type { Combiner, ComputeNode, Graph, Node, Scalar, SoftmaxSumNode, Tensor } from './graph.ts';
import { results } from './graph.ts';
import { randomPrograms } from './random-graph.ts';
import {
  apply,
  constant,
  convert,
  counter,
  float,
  integer,
  iterator,
  iterators,
  load,
  reduced,
  round,
  scalarType,
  substituteIterators,
} from './scalar.ts';
import { assertWellFormed } from './well-formed.ts';

const { dot: _, ...pointByPoint } = float64;
const withoutDot: Algebra<number> = { ...pointByPoint, name: 'without dot' };

let tensors = 0;
function tensor(name: string, dtype: Dtype, shape: readonly number[]): Tensor {
  return { id: tensors++, name, dtype, shape };
}

function map(result: Tensor, body: Scalar): ComputeNode {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

function reduction(
  result: Tensor,
  combiner: Combiner,
  extents: readonly number[],
  body: Scalar,
  finish?: Scalar,
): ComputeNode {
  return { kind: 'compute', result, body, reduce: { combiner, extents, finish }, grouped: undefined };
}

type Given = readonly (readonly [Tensor, readonly number[]])[];

/** What the nodes make of the inputs: the results of the last one, by name. */
function run(
  given: Given,
  nodes: readonly Node[],
  algebra: Algebra<number> = float64,
): Record<string, number[]> {
  const graph: Graph = {
    name: 'test',
    inputs: given.map(([own], position) => ({ path: `${own.name}.${position}`, tensor: own })),
    nodes,
    outputs: results(nodes.at(-1)!).map(({ name, id }) => ({ path: name, tensor: id })),
  };
  const values = given.map(([own, data]): [number, TensorValue<number>] => [
    own.id,
    { dtype: own.dtype, shape: own.shape, data: Float64Array.from(data) },
  ]);
  return outputsOf(graph, new Map(values), algebra);
}

/** A node's expression at the only point of a scalar result. */
function valueOfScalar(dtype: Dtype, body: Scalar): number {
  const result = tensor('out', dtype, []);
  return run([], [map(result, body)]).out![0]!;
}

const random = (count: number): number[] =>
  Array.from({ length: count }, (_, at) => Math.sin(at * at + 1) * 2);

describe('contractions', () => {
  const [rows, inner, columns] = [3, 5, 4];
  const x = tensor('x', 'f32', [rows, inner]);
  const w = tensor('w', 'f32', [inner, columns]);
  const y = tensor('y', 'f32', [rows, columns]);
  const [xs, ws] = [random(rows * inner), random(inner * columns).reverse()];
  const naive = Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0;
    for (let d = 0; d < inner; d++)
      sum += xs[Math.floor(at / columns) * inner + d]! * ws[d * columns + (at % columns)]!;
    return sum;
  });
  const product = apply('mul', load(x, [iterator(0), iterator(2)]), load(w, [iterator(2), iterator(1)]));
  test.each([float64, withoutDot])('are matrix products ($name)', (algebra) => {
    const given: Given = [
      [x, xs],
      [w, ws],
    ];
    expect(run(given, [reduction(y, 'sum', [inner], product)], algebra).y).toEqual(naive);
    const transposed = apply('mul', load(x, [iterator(0), iterator(2)]), load(w, [iterator(2), iterator(0)]));
    const wrong = run(given, [reduction(y, 'sum', [3], transposed)], algebra).y;
    expect(wrong).not.toEqual(naive);
  });

  test('finish with what was reduced', () => {
    const scaled = apply('div', reduced('f32'), convert('f32', iterator(0)));
    const given: Given = [
      [x, xs],
      [w, ws],
    ];
    const out = run(given, [reduction(y, 'sum', [inner], product, scaled)]).y!;
    expect(out[2 * columns]).toBe(naive[2 * columns]! / 2);
  });

  test('look up a row for each of two factors', () => {
    const pick = tensor('pick', 'i32', [2]);
    const experts = tensor('experts', 'f32', [2, inner]);
    const out = tensor('out', 'f32', [2]);
    const body = apply(
      'mul',
      load(x, [iterator(0), iterator(1)]),
      load(experts, [load(pick, [iterator(0)]), iterator(1)]),
    );
    const weights = random(2 * inner).map((value) => value + 1);
    const given: Given = [
      [x, xs],
      [pick, [1, 0]],
      [experts, weights],
    ];
    const found = run(given, [reduction(out, 'sum', [inner], body)]).out;
    const dot = (row: number, expert: number): number =>
      xs
        .slice(row * inner, (row + 1) * inner)
        .reduce((sum, value, d) => sum + value * weights[expert * inner + d]!, 0);
    expect(found).toEqual([dot(0, 1), dot(1, 0)]);
  });
});

describe('reductions', () => {
  const values = tensor('x', 'f32', [4]);
  const counts = tensor('n', 'i32', [4]);
  const flags = tensor('b', 'bool', [4]);
  test.each([
    ['sum', values, [1, -2.5, 3, 0], 1.5],
    ['prod', values, [1, -2.5, 3, 2], -15],
    ['max', values, [-4, -2.5, -3, -9], -2.5],
    ['min', values, [4, 2.5, 3, 9], 2.5],
    ['max', counts, [-4, -2, -3, -9], -2],
    ['sum', counts, [2147483647, 1, 0, 0], -2147483648],
    ['any', flags, [0, 0, 1, 0], 1],
    ['any', flags, [0, 0, 0, 0], 0],
    ['all', flags, [1, 1, 1, 1], 1],
    ['all', flags, [1, 0, 1, 1], 0],
    ['argmax', values, [1, 3, 3, 2], 1],
    ['argmin', values, [1, 0, 3, 0], 1],
    ['argmax', counts, [-5, -3, -3, -4], 1],
    ['argmax', values, [Number.NaN, -7, Number.NaN, -8], 1],
    ['argmax', values, [Number.NaN, Number.NaN, Number.NaN, Number.NaN], 0],
    ['argmin', values, [Number.POSITIVE_INFINITY, 1, 1, 2], 1],
  ] as const)('%s %#', (combiner, source, data, expected) => {
    const dtype = combiner === 'argmax' || combiner === 'argmin' ? 'i32' : source.dtype;
    const out = tensor('out', dtype, []);
    const node = reduction(out, combiner, [4], load(source, [iterator(0)]));
    expect(run([[source, data]], [node]).out).toEqual([expected]);
  });

  test.each([
    ['sum', 'f32', 0],
    ['prod', 'f32', 1],
    ['max', 'f32', Number.NEGATIVE_INFINITY],
    ['min', 'f32', Number.POSITIVE_INFINITY],
    ['max', 'i32', -(2 ** 31)],
    ['min', 'i32', 2 ** 31 - 1],
    ['max', 'u32', 0],
    ['min', 'u32', 2 ** 32 - 1],
    ['any', 'bool', 0],
    ['all', 'bool', 1],
  ] as const)('%s of no %s is %d', (combiner, dtype, expected) => {
    const out = tensor('out', dtype, []);
    expect(run([], [reduction(out, combiner, [3, 0], constant(dtype, 1))]).out).toEqual([expected]);
  });

  test('argmax over two axes is the flat position', () => {
    const x = tensor('x', 'f32', [2, 3]);
    const out = tensor('out', 'i32', []);
    const node = reduction(out, 'argmax', [2, 3], load(x, iterators(2)));
    expect(run([[x, [1, 2, 3, 4, 9, 5]]], [node]).out).toEqual([4]);
  });

  test('nothing is computed for an empty result', () => {
    const out = tensor('out', 'f32', [0, 3]);
    expect(run([[values, [1, 2, 3, 4]]], [map(out, load(values, [integer(9)]))]).out).toEqual([]);
  });
});

describe('pointwise', () => {
  test.each([
    ['floordiv', [-7, 2], -4],
    ['mod', [-7, 3], 2],
    ['mul', [65537, 65537], 131073],
    ['neg', [-(2 ** 31)], -(2 ** 31)],
    ['sub', [-(2 ** 31), 1], 2 ** 31 - 1],
    ['abs', [-3], 3],
    ['sign', [-3], -1],
    ['min', [-3, 2], -3],
    ['max', [-3, 2], 2],
  ] as const)('%s of i32 %j', (name, operands, expected) => {
    expect(valueOfScalar('i32', apply(name, ...operands.map(integer)))).toBe(expected);
  });

  test.each([
    ['sub', [0, 1], 2 ** 32 - 1],
    ['mul', [65537, 65537], 131073],
    ['floordiv', [2 ** 32 - 1, 2], 2 ** 31 - 1],
    ['neg', [1], 2 ** 32 - 1],
    ['threefry0', [0, 0, 0, 0], 0x6b200159],
    ['threefry1', [0, 0, 0, 0], 0x99ba4efe],
  ] as const)('%s of u32 %j', (name, operands, expected) => {
    const scalars = operands.map((value) => constant('u32', value));
    expect(valueOfScalar('u32', apply(name, ...scalars))).toBe(expected);
  });

  test.each([
    ['rsqrt', [4], 0.5],
    ['pow', [2, -3], 0.125],
    ['round', [2.5], 2],
    ['round', [3.5], 4],
    ['round', [-2.5], -2],
    ['floor', [-1.5], -2],
    ['ceil', [-1.5], -1],
    ['sign', [-0.25], -1],
    ['tanh', [0.5], 0.46211715726],
    // Abramowitz & Stegun, table 7.1, to 10 digits.
    ['erf', [0.5], 0.5204998778],
    ['erf', [-1], -0.8427007929],
    ['erf', [2], 0.995322265],
    ['erf', [30], 1],
  ] as const)('%s of f32 %j', (name, operands, expected) => {
    expect(valueOfScalar('f32', apply(name, ...operands.map(float)))).toBeCloseTo(expected, 10);
  });

  test.each([
    [3e9, 'i32', 2 ** 31 - 1],
    [-3e9, 'i32', -(2 ** 31)],
    [-1.9, 'i32', -1],
    [Number.NaN, 'i32', 0],
    [-1, 'u32', 0],
    [5e9, 'u32', 2 ** 32 - 1],
    [0.5, 'bool', 1],
  ] as const)('%d to %s', (value, dtype, expected) => {
    expect(valueOfScalar(dtype, convert(dtype, float(value)))).toBe(expected);
  });

  test('integers convert modulo 2^32', () => {
    expect(valueOfScalar('u32', convert('u32', integer(-1)))).toBe(2 ** 32 - 1);
    expect(valueOfScalar('i32', convert('i32', constant('u32', 2 ** 32 - 2)))).toBe(-2);
  });

  test.each([
    ['bf16', 1 + 2 ** -8, 1],
    ['bf16', 1 + 3 * 2 ** -8, 1 + 2 ** -6],
    ['bf16', 1e39, Number.POSITIVE_INFINITY],
    ['f16', 65519, 65504],
    ['f16', 65520, Number.POSITIVE_INFINITY],
    ['f16', 2 ** -25, 0],
    ['f16', 1.5 * 2 ** -24, 2 ** -23],
    ['f8e4m3', 464, 448],
    ['f8e4m3', 465, Number.NaN],
    ['f8e4m3', 17, 16],
    ['f8e4m3', 19, 20],
    ['f8e5m2', -1e9, Number.NEGATIVE_INFINITY],
    ['f8e5m2', 1.125, 1],
  ] as const)('%s of %d is stored and rounded alike', (dtype, value, expected) => {
    expect(valueOfScalar('f32', round(dtype, float(value)))).toBe(expected);
    expect(valueOfScalar(dtype, float(value))).toBe(expected);
  });

  test('f32 keeps the precision of f64, i8 its low bits', () => {
    expect(valueOfScalar('f32', float(0.1))).toBe(0.1);
    expect(valueOfScalar('i8', integer(200))).toBe(-56);
    expect(valueOfScalar('u8', constant('u32', 258))).toBe(2);
  });

  test('select does not look at the other branch', () => {
    const x = tensor('x', 'f32', [2]);
    const out = tensor('out', 'f32', [4]);
    const position = apply('sub', iterator(0), integer(1));
    const inside = apply('and', apply('le', integer(0), position), apply('lt', position, integer(2)));
    const guarded = apply('select', inside, load(x, [position]), float(-1));
    expect(run([[x, [5, 6]]], [map(out, guarded)]).out).toEqual([-1, 5, 6, -1]);
  });

  test('a load out of range is an internal error that says where', () => {
    const x = tensor('row', 'f32', [2]);
    const out = tensor('out', 'f32', [4]);
    const node = map(out, load(x, [apply('sub', iterator(0), integer(1))]));
    expect(() => run([[x, [5, 6]]], [node])).toThrow(
      /compute out%.*at \(0\): row%.*\[-1\] is outside f32\[2\]/,
    );
  });

  test('what is shared deeply is computed once a point', () => {
    const x = tensor('x', 'i32', [3]);
    const out = tensor('out', 'i32', [3]);
    let scalar: Scalar = load(x, [iterator(0)]);
    for (let level = 0; level < 40; level++) scalar = apply('add', scalar, scalar);
    const low = apply('floordiv', scalar, integer(1));
    // 2^40 wraps to nothing, point by point.
    expect(run([[x, [1, 2, 3]]], [map(out, apply('add', low, load(x, [iterator(0)])))]).out).toEqual([
      1, 2, 3,
    ]);
  });
});

describe('order, prefix, route', () => {
  test.each([
    ['ascending', 4, [3, 1, 0, 2, 0, 2, 1, 3]],
    ['descending', 2, [0, 1, 1, 3]],
    ['descending', 0, []],
  ] as const)('%s, %d of them; ties by position, NaN last', (direction, kept, expected) => {
    const x = tensor('x', 'f32', [2, 4]);
    const result = tensor('order', 'i32', [2, kept]);
    const data = [2, 1, Number.NaN, 0, 1, 3, 1, 3];
    const found = run([[x, data]], [{ kind: 'order', source: x.id, direction, result }]).order;
    expect(found).toEqual(expected);
  });

  test.each([
    ['sum', [1, 3, 6, -4, -9, -3]],
    ['prod', [1, 2, 6, -4, 20, 120]],
    ['max', [1, 2, 3, -4, -4, 6]],
  ] as const)('prefix %s', (combiner, expected) => {
    for (const dtype of ['f32', 'i32'] as const) {
      const x = tensor('x', dtype, [2, 3]);
      const result = tensor('prefix', dtype, [2, 3]);
      const node = { kind: 'prefix', source: x.id, combiner, result } as const;
      expect(run([[x, [1, 2, 3, -4, -5, 6]]], [node]).prefix).toEqual(expected);
    }
  });

  test('prefixes over rows of nothing', () => {
    const x = tensor('x', 'f32', [3, 0]);
    const result = tensor('prefix', 'f32', [3, 0]);
    expect(run([[x, []]], [{ kind: 'prefix', source: x.id, combiner: 'sum', result }]).prefix).toEqual([]);
  });

  test('route sorts positions stably by expert', () => {
    const pick = tensor('pick', 'i32', [3, 2]);
    const order = tensor('order', 'i32', [6]);
    const offsets = tensor('offsets', 'i32', [5]);
    const node = { kind: 'route', pick: pick.id, experts: 4, order, offsets } as const;
    const found = run([[pick, [2, 0, 2, 3, 0, 2]]], [node]);
    expect(found).toEqual({ order: [1, 4, 0, 2, 5, 3], offsets: [0, 2, 2, 5, 6] });
    expect(() => run([[pick, [2, 0, 4, 3, 0, 2]]], [node])).toThrow(/4 of 4 experts/);
  });
});

describe('loops', () => {
  /** Fibonacci with the steps collected: (a, b) → (b, a + b), and a · weights[step]. */
  function fibonacci(count: number): Record<string, number[]> {
    const [a0, b0] = [tensor('a0', 'i32', []), tensor('b0', 'i32', [])];
    const weights = tensor('weights', 'i32', [5]);
    const [a, b] = [tensor('a', 'i32', []), tensor('b', 'i32', [])];
    const [sum, weighted] = [tensor('sum', 'i32', []), tensor('weighted', 'i32', [])];
    const loop: Node = {
      kind: 'loop',
      loop: 0,
      count,
      initial: [a0.id, b0.id],
      body: {
        name: 'step',
        inputs: [
          { path: 'a', tensor: a },
          { path: 'b', tensor: b },
        ],
        nodes: [
          map(sum, apply('add', load(a, []), load(b, []))),
          map(weighted, apply('mul', load(a, []), load(weights, [counter(0)]))),
        ],
        outputs: [b, sum, weighted].map(({ id, name }) => ({ path: name, tensor: id })),
      },
      results: [tensor('last', 'i32', []), tensor('next', 'i32', []), tensor('all', 'i32', [count])],
    };
    return run(
      [
        [a0, [0]],
        [b0, [1]],
        [weights, [1, 10, 100, 1000, 10000]],
      ],
      [loop],
    );
  }

  test('carry states and collect', () => {
    expect(fibonacci(5)).toEqual({ last: [5], next: [8], all: [0, 10, 100, 2000, 30000] });
  });

  test('of no steps give the initial states', () => {
    expect(fibonacci(0)).toEqual({ last: [0], next: [1], all: [] });
  });
});

describe('softmax sums', () => {
  const [queries, keys, width, channels] = [3, 4, 2, 2];
  const q = tensor('q', 'f32', [queries, width]);
  const k = tensor('k', 'f32', [keys, width]);
  const v = tensor('v', 'f32', [keys, channels]);
  const out = tensor('out', 'f32', [queries, channels]);
  // Axes: query, channel, key, width.
  const attention = (visible: Scalar | undefined): SoftmaxSumNode => ({
    kind: 'softmaxSum',
    result: out,
    extent: keys,
    scoreExtents: [width],
    scoreBody: apply('mul', load(q, [iterator(0), iterator(3)]), load(k, [iterator(2), iterator(3)])),
    logit: apply('mul', reduced('f32'), float(0.5)),
    visible,
    value: load(v, [iterator(2), iterator(1)]),
    valueAxes: [1],
  });
  const [qs, ks, vs] = [random(6), random(8).map((value) => value * 3), random(8)];
  const given = (values: readonly number[]): Given => [
    [q, qs],
    [k, ks],
    [v, values],
  ];

  function naive(visible: (query: number, key: number) => boolean): number[] {
    return Array.from({ length: queries * channels }, (_, at) => {
      const [query, channel] = [Math.floor(at / channels), at % channels];
      let [total, sum] = [0, 0];
      for (let key = 0; key < keys; key++) {
        if (!visible(query, key)) continue;
        const score = qs[query * 2]! * ks[key * 2]! + qs[query * 2 + 1]! * ks[key * 2 + 1]!;
        total += Math.exp(score / 2);
        sum += Math.exp(score / 2) * vs[key * channels + channel]!;
      }
      return total === 0 ? 0 : sum / total;
    });
  }

  function expectClose(found: readonly number[], expected: readonly number[]): void {
    for (const [at, value] of expected.entries()) expect(found[at]).toBeCloseTo(value, 12);
  }

  test('without a mask', () => {
    expectClose(
      run(given(vs), [attention(undefined)]).out!,
      naive(() => true),
    );
  });

  test('with a mask; rows that see nothing are 0, and what is hidden may be infinite', () => {
    const earlier = apply('lt', iterator(2), iterator(0));
    const hiddenInfinite = vs.map((value, at) => (at >= 2 * channels ? Number.POSITIVE_INFINITY : value));
    const found = run(given(hiddenInfinite), [attention(earlier)]).out!;
    expect(found.slice(0, 2)).toEqual([0, 0]);
    expectClose(
      found,
      naive((query, key) => key < query),
    );
    const wrong = naive((query, key) => key <= query);
    expect(Math.abs(found[2]! - wrong[2]!)).toBeGreaterThan(1e-3);
  });

  test('large logits do not overflow', () => {
    const node = { ...attention(undefined), logit: apply('mul', reduced('f32'), float(1e4)) };
    const found = run(given(vs), [node]).out!;
    for (const value of found) expect(Number.isFinite(value)).toBe(true);
  });

  test('over no keys are 0', () => {
    const node: SoftmaxSumNode = { ...attention(undefined), extent: 0 };
    expect(run(given(vs), [node]).out).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

// ── properties over random graphs ──────────────────────────────────────────────────────────────────────────

function outputsOf(
  graph: Graph,
  inputs: ReadonlyMap<number, TensorValue<number>>,
  algebra: Algebra<number> = float64,
): Record<string, number[]> {
  assertWellFormed(graph, 'the test');
  const outputs = evaluateGraph(graph, inputs, algebra);
  return Object.fromEntries([...outputs].map(([path, { data }]) => [path, Array.from(data)]));
}

/** The graph with other nodes for its own, in loops too. */
function changeNodes(graph: Graph, change: (node: Node) => Node): Graph {
  return {
    ...graph,
    nodes: graph.nodes.map((node) =>
      node.kind === 'loop' ? { ...node, body: changeNodes(node.body, change) } : change(node),
    ),
  };
}

/** Substitutes for the last reduced axis, where the order of combining cannot be seen in the result. */
function substituteLastAxis(node: Node, replace: (last: number, extent: number) => Scalar): Node {
  if (node.kind !== 'compute' || node.reduce === undefined) return node;
  const { combiner, extents } = node.reduce;
  const rounds = scalarType(node.body) === 'f32' && (combiner === 'sum' || combiner === 'prod');
  if (rounds || combiner === 'argmax' || combiner === 'argmin') return node;
  const last = node.result.shape.length + extents.length - 1;
  const body = substituteIterators(node.body, (axis) =>
    axis === last ? replace(last, extents.at(-1)!) : iterator(axis),
  );
  return { ...node, body };
}

const sampled = fc.sample(randomPrograms(), { numRuns: 400, seed: 5 });

test('running an axis backwards keeps the meaning; standing still does not', () => {
  let caught = 0;
  for (const { graph, inputs } of sampled) {
    const expected = outputsOf(graph, inputs);
    const backwards = changeNodes(graph, (node) =>
      substituteLastAxis(node, (last, extent) => apply('sub', integer(extent - 1), iterator(last))),
    );
    expect(outputsOf(backwards, inputs)).toEqual(expected);
    const mutant = changeNodes(graph, (node) => substituteLastAxis(node, () => integer(0)));
    if (!isDeepStrictEqual(outputsOf(mutant, inputs), expected)) caught++;
  }
  expect(caught).toBeGreaterThan(10);
});

test('without a fast path and typed arrays the same bits come out', () => {
  const plain: Algebra<number> = {
    ...withoutDot,
    createStorage: (length) => new Array<number>(length).fill(0),
  };
  for (const { graph, inputs } of sampled)
    expect(outputsOf(graph, inputs, plain)).toEqual(outputsOf(graph, inputs));
});

/** The softmax sum as maps and reductions that store the scores. */
function expanded(node: SoftmaxSumNode): readonly ComputeNode[] {
  const { shape } = node.result;
  const rank = shape.length;
  const scores = tensor('scores', 'f32', [...shape, node.extent]);
  const greatest = tensor('greatest', 'f32', shape);
  const powers = tensor('powers', 'f32', [...shape, node.extent]);
  const total = tensor('total', 'f32', shape);
  const visible = node.visible ?? constant('bool', 1);
  const score = load(scores, iterators(rank + 1));
  const power = load(powers, iterators(rank + 1));
  const above = apply('exp', apply('sub', score, load(greatest, iterators(rank))));
  const sum = load(total, iterators(rank));
  return [
    reduction(scores, 'sum', node.scoreExtents, node.scoreBody, node.logit),
    reduction(
      greatest,
      'max',
      [node.extent],
      apply('select', visible, score, float(Number.NEGATIVE_INFINITY)),
    ),
    map(powers, apply('select', visible, above, float(0))),
    reduction(total, 'sum', [node.extent], power),
    reduction(
      node.result,
      'sum',
      [node.extent],
      apply('mul', power, node.value),
      apply('select', apply('eq', sum, float(0)), float(0), apply('div', reduced('f32'), sum)),
    ),
  ];
}

test('softmax sums are their expansion', () => {
  let compared = 0;
  tensors = 1000;
  for (const { graph, inputs } of sampled) {
    const at = graph.nodes.findIndex((node) => node.kind === 'softmaxSum');
    const found = graph.nodes[at];
    if (found?.kind !== 'softmaxSum') continue;
    // Stored in f32: a last bit must not decide between two narrow numbers.
    const node: SoftmaxSumNode = { ...found, result: { ...found.result, dtype: 'f32' } };
    const before = graph.nodes.slice(0, at);
    const outputs = [{ path: 'out', tensor: node.result.id }];
    const fused = outputsOf({ ...graph, nodes: [...before, node], outputs }, inputs).out!;
    const apart = outputsOf({ ...graph, nodes: [...before, ...expanded(node)], outputs }, inputs).out!;
    for (const [position, value] of apart.entries()) {
      expect(fused[position]).toBeCloseTo(value, 10);
      if (value !== 0) compared++;
    }
  }
  expect(compared).toBeGreaterThan(200);
});
