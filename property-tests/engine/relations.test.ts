/** Each relation holds where it should, and each planted fault is told, by the relation that is meant to. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import { float32 } from '../../compiler/graph/float32.ts';
import type { Graph, Node } from '../../compiler/graph/graph.ts';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { allTensors } from '../../compiler/graph/uses.ts';
import { describeEntry, solveEntrySizes } from '../../compiler/lower/entry.ts';
import { lowerText, type TestOptions, testNumbers } from '../../compiler/lower/testing.ts';
import type { DeviceProgram } from '../../compiler/partition/localize.ts';
import { lower } from '../../driver/lower.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { tensorValues } from '../../runtime/weights/tensor-data.ts';
import { checkSmallProgram } from '../small-programs.ts';
import { judge, judgeTruth, type Relation, sameRun, type Verdict } from './relations.ts';
import { type Run, runOnMesh, runOnReference, type Values } from './runs.ts';

interface Given {
  readonly shape: readonly number[];
  /** Numbers in [−1, 1) times this. */
  readonly scale?: number;
  readonly dtype?: Dtype;
  readonly whole?: boolean;
}

interface Case {
  readonly graph: Graph;
  readonly inputs: Values<number>;
}

function caseOf(text: string, given: Readonly<Record<string, Given>>, options: TestOptions = {}): Case {
  const tensors = Object.entries(given).map(([path, { shape, scale = 1, dtype = 'f32', whole }], seed) => {
    const numbers = testNumbers(shape, seed + 1).data.map((own) => {
      const scaled = own * scale;
      return roundTo(dtype, whole ? Math.round(scaled) : scaled);
    });
    return [path, { dtype, shape, data: Float64Array.from(numbers) } as TensorValue<number>] as const;
  });
  const shapes = Object.fromEntries(tensors.map(([path, { shape }]) => [path, { shape, data: [] }]));
  return { graph: lowerText(text, 'f', shapes, options), inputs: new Map(tensors) };
}

const sides = { left: 'out.0', right: 'out.1' };

function judged(relation: Relation, { graph, inputs }: Case): Verdict {
  return judge(relation, sameRun(runOnReference(graph)), sides, inputs);
}

// ── attention in pieces ────────────────────────────────────────────────────────────────────────────────────

const flash = readFileSync(join(import.meta.dirname, '../../stdlib/flash.ricci'), 'utf8').replace(
  'module flash',
  '',
);

/** Dense attention beside that of a ring, one device's turn of it: blocks come one by one. */
function attentionCase(change: (flash: string) => string, scale: number, dtype: Dtype = 'f32'): Case {
  const text = `import attention
${change(flash)}
export fn f(q: ${dtype}[S, H, A], k: ${dtype}[4, U, H, A], v: ${dtype}[4, U, H, A])
  -> (${dtype}[S, H, A], ${dtype}[S, H, A]) where 1 <= U {
  let keys[u < 4 * U, h, a] = k[floordiv(i32(u), U), i32(u) % U, h, a]
  let values[u < 4 * U, h, a] = v[floordiv(i32(u), U), i32(u) % U, h, a]
  let one = step(start(q), q, k[0], v[0], from: 0, at: 0)
  let two = step(one, q, k[1], v[1], from: 1, at: 0)
  let three = step(two, q, k[2], v[2], from: 2, at: 0)
  let four = step(three, q, k[3], v[3], from: 3, at: 0)
  (attention.cached(q, keys, values, 0), finish(four))
}`;
  const [length, heads, width] = [16, 2, 4];
  const given = {
    q: { shape: [length, heads, width], scale, dtype },
    k: { shape: [4, length / 4, heads, width], dtype },
    v: { shape: [4, length / 4, heads, width], dtype },
  };
  return caseOf(text, given, { sizes: { H: heads } });
}

function replaced(from: string, to: string): (text: string) => string {
  return (text) => {
    if (!text.includes(from)) throw new Error(`the library has no ${from}`);
    return text.replace(from, to);
  };
}

const unchanged = (text: string): string => text;

const attentionFaults: Readonly<Record<string, (flash: string) => string>> = {
  'values are not rescaled': replaced('acc.value[s, (g, r), a] * keep[s, (g, r)]', 'acc.value[s, (g, r), a]'),
  'the total is not rescaled': replaced('acc.total[s, h] * keep[s, h]', 'acc.total[s, h]'),
  'the last key is dropped': replaced(
    'from[u] <= at[s]\n  let score',
    'from[u] <= at[s] and from[u] < 15\n  let score',
  ),
  'the first key is dropped': replaced(
    'from[u] <= at[s]\n  let score',
    'from[u] <= at[s] and 0 < from[u]\n  let score',
  ),
  'the mask is off by one': replaced('from[u] <= at[s]\n  let score', 'from[u] < at[s]\n  let score'),
  'scores are scaled twice': replaced('/ sqrt(A) else', '/ sqrt(A) / sqrt(A) else'),
};

describe.each([1, 8, 64, 512])('attention with logits up to about %d', (scale) => {
  test('in blocks is the dense one', () => {
    expect(judged('===', attentionCase(unchanged, scale))).toEqual({ kind: 'holds' });
  });

  test.each(Object.entries(attentionFaults))('%s, and it is seen', (_, change) => {
    expect(judged('===', attentionCase(change, scale))).toMatchObject({ kind: 'fails' });
  });
});

/**
 * Two layers, of which the second has sums of exponentials in its exponents; with a norm before each, or
 * none.
 */
function layersCase(before: string, change: (flash: string) => string): Case {
  const text = `import attention
${change(flash)}
fn in_blocks(q: f32[S, H, A], k: f32[4, U, H, A], v: f32[4, U, H, A]) -> f32[S, H, A] where 1 <= U {
  let one = step(start(q), q, k[0], v[0], from: 0, at: 0)
  let two = step(one, q, k[1], v[1], from: 1, at: 0)
  let three = step(two, q, k[2], v[2], from: 2, at: 0)
  let four = step(three, q, k[3], v[3], from: 3, at: 0)
  finish(four)
}
fn dense(q: f32[S, H, A], k: f32[4, U, H, A], v: f32[4, U, H, A]) -> f32[S, H, A] where 1 <= U {
  let keys[u < 4 * U, h, a] = k[floordiv(i32(u), U), i32(u) % U, h, a]
  let values[u < 4 * U, h, a] = v[floordiv(i32(u), U), i32(u) % U, h, a]
  attention.cached(q, keys, values, 0)
}
fn mixed(x: f32[16, H, A], w: f32[A, A]) -> f32[16, H, A] = for s, h, a: sum b: ${before} * w[b, a]
fn cut(x: f32[16, H, A]) -> f32[4, 4, H, A] = for b, u, h, a: x[4 * b + u, h, a]
export fn f(x: f32[16, H, A], w: f32[6, A, A]) -> (f32[16, H, A], f32[16, H, A]) {
  let (q, k, v) = (mixed(x, w[0]), cut(mixed(x, w[1])), cut(mixed(x, w[2])))
  let (first, second) = (dense(q, k, v), in_blocks(q, k, v))
  let y[s, h, a] = x[s, h, a] + first[s, h, a]
  let z[s, h, a] = x[s, h, a] + second[s, h, a]
  (
    dense(mixed(y, w[3]), cut(mixed(y, w[4])), cut(mixed(y, w[5]))),
    in_blocks(mixed(z, w[3]), cut(mixed(z, w[4])), cut(mixed(z, w[5]))),
  )
}`;
  return caseOf(text, { x: { shape: [16, 1, 4] }, w: { shape: [6, 4, 4] } });
}

test.each([
  ['plain', 'x[s, h, b]'],
  ['normalized', '(x[s, h, b] * rsqrt((sum c: x[s, h, c] * x[s, h, c]) / 4 + 0.001))'],
])('two layers of attention, %s, are decided too', (_, before) => {
  expect(judged('===', layersCase(before, unchanged))).toEqual({ kind: 'holds' });
  const fault = attentionFaults['the total is not rescaled']!;
  expect(judged('===', layersCase(before, fault))).toMatchObject({ kind: 'fails' });
});

test('at peaky logits a dropped key is one that floats do not see', () => {
  const fault = attentionCase(attentionFaults['the first key is dropped']!, 512, 'bf16');
  expect(judged('===', fault)).toMatchObject({ kind: 'fails', at: { path: 'out.0' } });
  const { graph, inputs } = fault;
  const outputs = runOnReference(graph)(float32, inputs);
  const [left, right] = [outputs.get('out.0')!.data, outputs.get('out.1')!.data];
  const rows = 6 * 8;
  const differing = Array.from(
    { length: left.length - rows },
    (_, at) => left[rows + at] !== right[rows + at],
  );
  expect(differing.filter(Boolean).length).toBeLessThan(differing.length / 4);
});

// ── on a mesh ──────────────────────────────────────────────────────────────────────────────────────────────

interface OnMesh {
  readonly alone: Run;
  readonly device: DeviceProgram;
  readonly inputs: Values<number>;
}

function onMesh(
  file: string,
  [plain, placed]: readonly [string, string],
  sizes: Readonly<Record<string, number>>,
): OnMesh {
  const checked = checkSmallProgram(file);
  const mesh: Mesh = { axes: checked.program.axes.map((name) => ({ name, size: sizes[name] ?? 1 })) };
  const axisSizes = mesh.axes.map(({ name, size }) => [name, size] as const);
  const lowered = (entry: string, given: ReadonlyMap<string, number>, at?: Mesh) => {
    const solved = solveEntrySizes(checked.program, entry, new Map(), given);
    if (solved.kind === 'rejected') throw new Error(solved.diagnostics.map(({ message }) => message).join());
    const result = lower(checked, {
      entry,
      sizes: solved.sizes,
      inputDtypes: new Map(),
      ...(at && { mesh: at }),
    });
    if (result.kind === 'rejected') throw new Error(result.diagnostics.map(({ message }) => message).join());
    return { ...result, sizes: solved.sizes };
  };
  const own = Object.entries(sizes).filter(([name]) => !checked.program.axes.includes(name));
  const alone = lowered(plain, new Map(own));
  const { device } = lowered(placed, new Map([...own, ...axisSizes]), mesh);
  const inputs = describeEntry(checked.program, plain).inputs.map((input) => {
    const { dtype, shape, ...tensor } = randomInput(input, alone.sizes, 5);
    return [input.path, { dtype, shape, data: tensorValues({ dtype, shape, ...tensor }) }] as const;
  });
  return {
    alone: runOnReference(alone.graph),
    device: device!,
    inputs: new Map<string, TensorValue<number>>(inputs),
  };
}

const whole = { left: 'out', right: 'out' };
const attentionSizes = { S: 16, G: 4, R: 1, A: 4 };

test.each([
  ['ring', { ...attentionSizes, sp: 4 }],
  ['ulysses', { ...attentionSizes, sp: 4 }],
  ['two_d', { ...attentionSizes, node: 2, gpu: 2 }],
  ['parallel', { ...attentionSizes, node: 2, gpu: 2 }],
])('%s on its devices is dense attention, by every relation but that of bits', (scheme, sizes) => {
  const { alone, device, inputs } = onMesh('tour-attention.ricci', ['causal', scheme], sizes);
  const runs = { left: alone, right: runOnMesh(device) };
  expect(judge('===', runs, whole, inputs)).toEqual({ kind: 'holds' });
  expect(judge('~=', runs, whole, inputs)).toEqual({ kind: 'holds' });
  expect(judge('==', runs, whole, inputs).kind).toBe('undecided');
});

/** Every sum over the devices is taken twice. */
function doubledReductions(program: DeviceProgram): DeviceProgram {
  let last = Math.max(...allTensors(program.graph).keys());
  const nodes = program.graph.nodes.flatMap((node): readonly Node[] => {
    if (node.kind !== 'exchange' || node.verb !== 'all_reduce') return [node];
    const once = { ...node.result, id: ++last };
    return [
      { ...node, result: once },
      { ...node, source: once.id },
    ];
  });
  return { ...program, graph: { ...program.graph, nodes } };
}

test('a sum over the devices that is taken twice is seen by every relation that decides', () => {
  const sizes = { T: 4, D: 6, F: 8, tp: 2, sp: 2 };
  const { alone, device, inputs } = onMesh('placed.ricci', ['parallel', 'parallel'], sizes);
  const twice = doubledReductions(device);
  expect(twice.graph.nodes.length).toBeGreaterThan(device.graph.nodes.length);
  for (const relation of ['===', '~='] as const) {
    expect(judge(relation, { left: alone, right: runOnMesh(device) }, whole, inputs)).toEqual({
      kind: 'holds',
    });
    expect(judge(relation, { left: alone, right: runOnMesh(twice) }, whole, inputs)).toMatchObject({
      kind: 'fails',
    });
  }
});

// ── up to rounding ─────────────────────────────────────────────────────────────────────────────────────────

/** Attention of 24 queries as it should be, beside one whose denominators are added up in bf16. */
function denominatorCase(keys: number, scale: number, accumulator: Dtype): Case {
  const text = `
fn coarse(q: bf16[A], k: bf16[U, A], v: bf16[U, A]) -> bf16[A] {
  let score[u] = sum a: q[a] * k[u, a]
  let top = max u: score[u]
  let p[u] = exp(score[u] - top)
  let start: ${accumulator} = 0.0
  let total = fold x in p from t = start: ${accumulator}(t + x)
  for a: (sum u: p[u] * v[u, a]) / total
}
fn fine(q: bf16[A], k: bf16[U, A], v: bf16[U, A]) -> bf16[A] {
  let p = softmax(for u: sum a: q[a] * k[u, a])
  for a: sum u: p[u] * v[u, a]
}
export fn f(q: bf16[S, A], k: bf16[U, A], v: bf16[U, A]) -> (bf16[S, A], bf16[S, A]) =
  (for s: fine(q[s], k, v), for s: coarse(q[s], k, v))`;
  const given = {
    q: { shape: [24, 8], scale, dtype: 'bf16' },
    k: { shape: [keys, 8], dtype: 'bf16' },
    v: { shape: [keys, 8], dtype: 'bf16' },
  } as const;
  return caseOf(text, given);
}

describe.each([128, 384])('attention to %d keys in bf16', (keys) => {
  test.each([0.25, 1, 4])('is about the same with denominators in f32, at scores of about %d', (scale) => {
    expect(judged('~=', denominatorCase(keys, scale, 'f32'))).toEqual({ kind: 'holds' });
  });

  test.each([0.25, 1, 4])('is another one with denominators in bf16, at scores of about %d', (scale) => {
    const found = judged('~=', denominatorCase(keys, scale, 'bf16'));
    expect(found).toMatchObject({ kind: 'fails', why: expect.stringContaining('norm') });
    expect(judged('===', denominatorCase(keys, scale, 'bf16'))).toEqual({ kind: 'holds' });
  });
});

/** Values that nearly cancel, so that what rounding leaves of some elements is mostly wrong. */
test('a sum in two pieces in bf16 may be wrong in single elements, by large factors', () => {
  const text = (change: string) => `
export fn f(p: bf16[S, U], v: bf16[U, A]) -> (bf16[S, A], bf16[S, A]) {
  let half[s, a] = sum u: (if u % 2 == 0 then f32(p[s, u]) else 0.0) * v[u, a]
  let rest[s, a] = sum u: (if u % 2 == 0 then 0.0 else f32(p[s, u])) * v[u, a]
  (for s, a: sum u: p[s, u] * v[u, a], for s, a: ${change})
}`;
  const given = { p: { shape: [128, 8], dtype: 'bf16' }, v: { shape: [8, 256], dtype: 'bf16' } } as const;
  const split = caseOf(text('f32(bf16(half[s, a])) + bf16(rest[s, a])'), given);
  const outputs = runOnReference(split.graph)(float32, split.inputs);
  const [left, right] = [outputs.get('out.0')!.data, outputs.get('out.1')!.data];
  const factors = Array.from({ length: left.length }, (_, at) => Math.abs(right[at]! / left[at]! - 1));
  expect(factors.filter(Number.isFinite).reduce((one, other) => Math.max(one, other))).toBeGreaterThan(3);
  expect(judged('~=', split)).toEqual({ kind: 'holds' });
  const wrong = caseOf(text('half[s, a] + rest[s, a] * 0.96'), given);
  expect(judged('~=', wrong)).toMatchObject({ kind: 'fails' });
});

test('choices that rounding may turn leave `~=` undecided', () => {
  const text = `export fn f(x: f32[N]) -> (f32[N], f32[N]) =
    (for n: if x[n] / 3 * 3 < x[n] then 1 else 0, for n: if x[n] * 3 / 3 < x[n] then 1 else 0)`;
  expect(judged('~=', caseOf(text, { x: { shape: [8] } })).kind).toBe('undecided');
});

test('values without bounds leave `~=` undecided', () => {
  const text = `export fn f(x: f32[N]) -> (f32[N], f32[N]) = (for n: exp(100 + x[n]), for n: exp(x[n]) * exp(100))`;
  expect(judged('~=', caseOf(text, { x: { shape: [8] } })).kind).toBe('undecided');
});

// ── bit by bit ─────────────────────────────────────────────────────────────────────────────────────────────

const product = `export fn f(x: f32[M, K], w: f32[K, N]) -> (f32[M, N], f32[M, N]) =
  (for m, n: sum k: x[m, k] * w[k, n], for m, n: sum k < K: w[K - 1 - k, n] * x[m, K - 1 - k])`;

test('sums of integers are the same to the bit, whatever their order', () => {
  const integers = {
    x: { shape: [3, 50], scale: 100, whole: true },
    w: { shape: [50, 4], scale: 100, whole: true },
  };
  expect(judged('==', caseOf(product, integers))).toEqual({ kind: 'holds' });
  const wrong = product.replace('x[m, K - 1 - k]', 'x[m, k]');
  expect(judged('==', caseOf(wrong, integers))).toMatchObject({ kind: 'fails' });
});

test('sums of fractions, and of integers that grow beyond 2^24, are not decided bit by bit', () => {
  expect(judged('==', caseOf(product, { x: { shape: [3, 50] }, w: { shape: [50, 4] } })).kind).toBe(
    'undecided',
  );
  const large = {
    x: { shape: [3, 50], scale: 5000, whole: true },
    w: { shape: [50, 4], scale: 5000, whole: true },
  };
  expect(judged('==', caseOf(product, large)).kind).toBe('undecided');
});

test('movement of data is the same to the bit, whatever the data', () => {
  const text = (row: string) => `export fn f(x: bf16[N, M]) -> (bf16[N, M], bf16[N, M]) {
    let turned[m < M, n < N] = x[n, m]
    (x, for n, m: turned[m, ${row}])
  }`;
  expect(judged('==', caseOf(text('n'), { x: { shape: [3, 4], dtype: 'bf16' } }))).toEqual({ kind: 'holds' });
  expect(judged('==', caseOf(text('N - 1 - n'), { x: { shape: [3, 4], dtype: 'bf16' } }))).toMatchObject({
    kind: 'fails',
    at: { path: 'out.0', index: [0, 0] },
  });
});

// ── laws that are not known, and records ───────────────────────────────────────────────────────────────────

const laws = `type Pair(N) = { first: f32[N], second: f32[N] }
export fn f(x: f32[N]) -> (Pair(N), Pair(N)) = (
  Pair(first: for n: sin(2 * x[n]), second: x),
  Pair(first: for n: 2 * sin(x[n]) * cos(x[n]), second: x),
)`;

test('a law that is unknown here is not decided, and a difference is', () => {
  const given = { x: { shape: [8] } };
  expect(judged('===', caseOf(laws, given))).toMatchObject({
    kind: 'undecided',
    why: expect.stringContaining('out.0.first[0]'),
  });
  expect(judged('===', caseOf(laws.replace('sin(x[n]) * cos', 'sin(x[n]) * sin'), given))).toMatchObject({
    kind: 'fails',
    at: { path: 'out.0.first' },
    allowed: expect.any(Number),
  });
});

test('what is true of all elements holds, and what is not fails where it is not', () => {
  const text = (limit: number) => `export fn f(x: f32[N]) -> bool[N] = for n: x[n] * x[n] < ${limit}`;
  const of = (limit: number) => {
    const { graph, inputs } = caseOf(text(limit), { x: { shape: [64] } });
    return judgeTruth(runOnReference(graph), 'out', inputs);
  };
  expect(of(2)).toEqual({ kind: 'holds' });
  expect(of(0.5)).toMatchObject({ kind: 'fails', at: { path: 'out' } });
});
