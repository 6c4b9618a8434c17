/** Each relation holds where it should, and each planted fault is told, by the relation that is meant to. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import { float32 } from '../../compiler/graph/float32.ts';
import type { Graph } from '../../compiler/graph/graph.ts';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { describeEntry, solveEntrySizes } from '../../compiler/lower/entry.ts';
import { lowerText, type TestOptions, testNumbers } from '../../compiler/lower/testing.ts';
import type { DeviceProgram } from '../../compiler/partition/localize.ts';
import { lower } from '../../driver/compile.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { tensorValues } from '../../runtime/weights/tensor-data.ts';
import { checkSmallProgram } from '../small-programs.ts';
import { judge, type Relation, sameRun, type Verdict } from './relations.ts';
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
  const { device, optimized } = lowered(placed, new Map([...own, ...axisSizes]), mesh);
  const inputs = describeEntry(checked.program, plain).inputs.map((input) => {
    const { dtype, shape, ...tensor } = randomInput(input, alone.sizes, 5);
    return [input.path, { dtype, shape, data: tensorValues({ dtype, shape, ...tensor }) }] as const;
  });
  return {
    alone: runOnReference(alone.graph),
    device: { ...device!, graph: optimized },
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
