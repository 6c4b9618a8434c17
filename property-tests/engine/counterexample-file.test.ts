/**
 * Counterexamples as files: what some look like, and that each checks, is formatted, and fails by itself,
 * which a file with other values does not.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { float64 } from '../../compiler/graph/float64.ts';
import { type Checked, checkSource } from '../../driver/check.ts';
import { standardLibrary } from '../../driver/module-loader.ts';
import { format } from '../../dsl/syntax/format.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import type { Module } from '../../dsl/syntax/tree.ts';
import { counterexampleFile } from './counterexample-file.ts';
import { judgeOf } from './judge.ts';
import type { KernelRunner, Runners } from './kernel-runner.ts';
import type { Counterexample, PropertyReport, Target } from './report.ts';
import { runProperty } from './run-property.ts';
import { runOnMesh, runOnReference } from './runs.ts';
import { withoutPlaces } from './tree-parts.ts';

const folder = mkdtempSync(join(tmpdir(), 'ricci-counterexamples-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'faulty.ricci');
const beside = join(folder, 'counterexamples');

const dot = 'fn dot(x: f32[D], y: f32[D]) -> f32 = sum d: x[d] * y[d]';

function checkedText(text: string, path: string): Checked {
  const checked = checkSource({ path, text });
  if (checked.kind === 'checked') return checked;
  throw new Error(`${checked.diagnostics[0]?.message}\n${text}`);
}

/** The report of the last property; on the device alone, where there is one. */
async function reportOf(checked: Checked, seed = 1, runners: Runners = {}): Promise<PropertyReport> {
  const property = [...checked.program.properties.values()].at(-1)!;
  const targets: readonly Target[] = runners.wgsl === undefined ? ['reference'] : ['wgsl'];
  const options = { runs: 50, seed, path: undefined, exhaust: 256, targets };
  return runProperty(judgeOf(checked, property, runners), { ...options, onCase: () => {} });
}

/** One that computes what the reference does, but for a factor. */
function deviceOff(factor: number): Runners {
  const wgsl: KernelRunner = {
    run: async (_, { graph, device }, __, inputs) => {
      const run = device === undefined ? runOnReference(graph) : runOnMesh(device);
      const outputs = [...run(float64, inputs)].map(([path, value]) => {
        const data = Array.from(value.data as ArrayLike<number>, (own) => own * factor);
        return [path, { ...value, data }] as const;
      });
      return new Map(outputs);
    },
    destroy: () => {},
  };
  return { wgsl };
}

interface Options {
  readonly change?: (found: Counterexample) => Counterexample;
  readonly seed?: number;
  readonly device?: Runners;
}

/** The file of the last property of a text, which fails. */
async function fileOf(text: string, { change = (found) => found, seed = 1, device }: Options = {}) {
  writeFileSync(file, text);
  const checked = checkedText(text, file);
  const { outcome, name } = await reportOf(checked, seed, device);
  if (outcome.kind !== 'failed') throw new Error(`it is ${outcome.kind}: ${text}`);
  const property = checked.program.properties.get(name)!;
  const counterexample = change(outcome.counterexample);
  const replay = `ricci test faulty.ricci --property ${name} --seed 1 --path 0`;
  const failure = { file, checked, property, outcome: outcome.kind, counterexample, replay };
  const written = await counterexampleFile(failure, beside, device ?? {});
  if (written === undefined) throw new Error('it cannot be written');
  return written;
}

/** Whether its one case fails, beside the program that it is from. */
async function failsAlone(text: string, device?: Runners): Promise<boolean> {
  const { outcome, coverage } = await reportOf(checkedText(text, join(beside, 'alone.ricci')), 7, device);
  return outcome.kind === 'failed' && coverage.exhausted === 'cases' && coverage.cases === 1;
}

describe('the file', () => {
  test('has the failing check of several, and what it needs of the module', async () => {
    const text = await fileOf(`
      module faulty
      import moe
      import attention (full, causal)
      mesh (sp, tp)
      type Pair(N) = { left: f32[N], right: f32[N] }
      /// Swaps.
      fn swapped(p: Pair(N)) -> Pair(N) = Pair(left: p.right, right: p.left)
      fn other(x: f32[N]) -> f32[N] = x
      property first forall x: f32[N] check other(x) == x
      property swap
        forall n: 1..4, p: Pair(n), x: f32[D] positive, q: f32[S, 1, A]
        where n <= 3
        let twice = swapped(swapped(p))
        let unread = for i: x[i] + 1
        given all i: x[i] < 8.0
        check twice.left == p.left
        check causal(q, q, q) ~= causal(q, q, q)
        check swapped(p).left == p.left label "swapped once"`);
    expect(text).toBe(`\
import "../faulty.ricci" (Pair, swapped)

/// \`swap\` of faulty.ricci (swapped once) does not hold: at [0] the left side is 0 and the right
/// side 1: their bits differ.
/// Found by:
/// ricci test faulty.ricci --property swap --seed 1 --path 0
property swap
  forall p: Pair(1) = { left: [1], right: [0] }
  check swapped(p).left == p.left label "swapped once"
`);
    expect(await failsAlone(text)).toBe(true);
  });

  test('imports what it needs, from where that is', async () => {
    mkdirSync(join(folder, 'parts'));
    writeFileSync(join(folder, 'parts/products.ricci'), dot);
    writeFileSync(join(folder, 'unused.ricci'), dot);
    const text = await fileOf(`
      import "./parts/products.ricci" as sums
      import "./unused.ricci"
      import moe (ffn, mix)
      property experts
        forall x: f32[D], e: moe.Ffn(D, F)[E], pick: ix(E)
        where 1 <= E
        check sums.dot(ffn(x, e[pick]), x) ~= sums.dot(ffn(x, e[0]), x)`);
    expect(text).toBe(`\
import "../parts/products.ricci" as sums
import moe (ffn)

/// \`experts\` of faulty.ricci does not hold: the left side is 0.7310585975646973 and the right side
/// 0: they are farther apart than rounding explains (5.1e-7 apart at most).
/// Found by:
/// ricci test faulty.ricci --property experts --seed 1 --path 0
property experts
  forall
    x: f32[1] = [1],
    e: moe.Ffn(1, 1)[2] = { gate: [[[0]], [[1]]], up: [[[0]], [[1]]], down: [[[0]], [[1]]] },
    pick: ix(2) = 1
  check sums.dot(ffn(x, e[pick]), x) ~= sums.dot(ffn(x, e[0]), x)
`);
    expect(await failsAlone(text)).toBe(true);
  });

  test('means by each name what the program means by it', async () => {
    // The program's own name and functions are those of the modules that it imports, and of the prelude.
    writeFileSync(join(folder, 'other.ricci'), `module faulty\n${dot}`);
    const text = await fileOf(`
      module faulty
      import "./other.ricci" (dot)
      fn dot(x: f32[D], y: f32[D]) -> f32 = 1 + (sum d: x[d] * y[d])
      fn relu(x: f32) -> f32 = x
      property p
        forall x: f32[2]
        check relu(dot(x, x)) === faulty.dot(x, x)`);
    expect(text).toContain(`\
import "../other.ricci"
import "../faulty.ricci" as faulty_ (dot, relu)
`);
    expect(text).toContain('check relu(dot(x, x)) === faulty.dot(x, x)\n');
    expect(text).toContain('the left side is 1 and the right side 0:');
    expect(await failsAlone(text)).toBe(true);
  });

  test('imports a module of the standard library by its name', async () => {
    const path = join(standardLibrary, 'router.ricci');
    const checked = checkedText(
      `${readFileSync(path, 'utf8')}
property wrong
  forall logits: f32[E], E: 2..3
  let (weight, pick) = softmax_top_k[1](logits)
  check (sum k: weight[k]) === 1`,
      path,
    );
    const { outcome, name } = await reportOf(checked);
    if (outcome.kind !== 'failed') throw new Error(`it is ${outcome.kind}`);
    const property = checked.program.properties.get(name)!;
    const { counterexample } = outcome;
    const failure = { file: path, checked, property, outcome: outcome.kind, counterexample, replay: '' };
    const text = await counterexampleFile(failure, beside, {});
    expect(text).toMatch(/^import router \(softmax_top_k\)\n\n/);
    expect(await failsAlone(text!)).toBe(true);
  });

  test('imports what is a counterexample itself', async () => {
    const path = join(beside, 'counterexample.ricci');
    mkdirSync(beside, { recursive: true });
    writeFileSync(path, 'fn one(x: f32) -> f32 = x + 1\nproperty p forall x: f32 check one(x) === x');
    const checked = checkedText(readFileSync(path, 'utf8'), path);
    const { outcome } = await reportOf(checked);
    if (outcome.kind !== 'failed') throw new Error(`it is ${outcome.kind}`);
    const { counterexample } = outcome;
    const property = checked.program.properties.get('p')!;
    const failure = { file: path, checked, property, outcome: outcome.kind, counterexample, replay: '' };
    const text = await counterexampleFile(failure, beside, {});
    expect(text).toMatch(/^import "\.\/counterexample\.ricci" \(one\)\n/);
    expect(await failsAlone(text!)).toBe(true);
  });

  test('passes once the program is mended', async () => {
    const faultyText = `
      fn twice(x: f32[N]) -> f32[N] = for i: 2 * x[i] + (if i == 1 then 1.0 else 0.0)
      property doubles forall x: f32[N] check twice(x) === x + x`;
    const text = await fileOf(faultyText);
    expect(await failsAlone(text)).toBe(true);
    writeFileSync(file, faultyText.replace('1.0', '0.0'));
    expect(await failsAlone(text)).toBe(false);
  });

  test('is given what the property only moved, and not what the program gave it', async () => {
    const text = await fileOf(`
      fn before(x: f32[S], t: i32) -> f32 = sum s: if s <= t + 1 then x[s] else 0
      fn same(x: f32[S]) -> f32[S] = x
      property no_later
        forall x: f32[S], later: f32[S], t: ix(S)
        let other[s] = if s <= t then x[s] else later[s]
        let kept = same(other)
        check before(kept, t) === before(x, t)`);
    expect(text).toContain(`
property no_later
  forall x: f32[2] = [0, 1], t: ix(2) = 0, other: f32[2] = [0, 0]
  check before(same(other), t) === before(x, t)
`);
    expect(await failsAlone(text)).toBe(true);
  });

  test('says on which target alone it fails, and fails there', async () => {
    const device = deviceOff(1 + 2 ** -10);
    const text = await fileOf('property p forall x: f32[N], y: f32[N] check x + y ~= y + x', { device });
    expect(text).toContain('/// Seen on wgsl.\n');
    expect(text.split('\n').length).toBeLessThanOrEqual(9);
    expect(await failsAlone(text, device)).toBe(true);
    expect(await failsAlone(text, deviceOff(1))).toBe(false);
    expect(await failsAlone(text)).toBe(false);
  });

  test('is of values of every kind', async () => {
    const text = await fileOf(`
      property kinds
        forall seeds: key[2], both: (bool[N], ix(3)), h: f16[2, N], none: f32[0, N], scale: f8e4m3
        where 1 <= N
        let (mask, pick) = both
        check for i: mask[i] or random_bits(seeds[0]) == random_bits(seeds[1]) or f32(h[1, i]) + f32(pick) < 2.0`);
    expect(text).toBe(`\
/// \`kinds\` of faulty.ricci does not hold: at [0] it is false.
/// Found by:
/// ricci test faulty.ricci --property kinds --seed 1 --path 0
property kinds
  forall
    seeds: key[2] = [[0, 0], [0, 1]],
    both: (bool[1], ix(3)) = ([false], 1),
    h: f16[2, 1] = [[0], [1]]
  let (mask, pick) = both
  check for i:
    mask[i] or random_bits(seeds[0]) == random_bits(seeds[1]) or f32(h[1, i]) + f32(pick) < 2.0
`);
    expect(await failsAlone(text)).toBe(true);
  });

  test('names the axes of the mesh, those of the partitioner too', async () => {
    const onMesh = (found: Counterexample): Counterexample => ({
      ...found,
      case: { ...found.case, mesh: { axes: [{ name: 'a', size: 2 }] } },
      way: { target: 'reference', onMesh: true },
    });
    const text = await fileOf('property p forall a: f32[4] check (sum i: a[i]) <= 1.0', { change: onMesh });
    expect(text).toMatch(/^mesh \(a_\)\n/);
    expect(text).toContain('/// Seen on reference on a mesh a=2.\n');
    expect(text).toContain('mesh { a_: 2..2 }');
    expect(await failsAlone(text)).toBe(true);
  });

  test('is on the mesh on which alone the property fails', async () => {
    const text = await fileOf(`
      mesh (sp, tp)
      property count
        forall x: f32[4@tp], v: f32, mesh { sp: 1..4, tp: 1..2 }
        check all_gather(x, tp) == all_gather(x, tp)
        check (sum i < sp: v) ~= v`);
    expect(text).toBe(`\
mesh (sp)

/// \`count\` of faulty.ricci does not hold: the left side is 2 and the right side 1: they are farther
/// apart than rounding explains (0.0 apart at most).
/// Seen on reference on a mesh sp=2.
/// Found by:
/// ricci test faulty.ricci --property count --seed 1 --path 0
property count
  forall mesh { sp: 2..2 }, v: f32 = 1
  check (sum i < sp: v) ~= v
`);
    expect(await failsAlone(text)).toBe(true);
  });

  test('says so where it does not fail by itself', async () => {
    const elsewhere = (found: Counterexample): Counterexample => ({
      ...found,
      case: {
        ...found.case,
        values: new Map([...found.case.values].map(([path, tensor]) => [path, { ...tensor, data: [0] }])),
      },
    });
    const text = await fileOf('property p forall x: f32[1] check x[0] == 0.0', { change: elsewhere });
    expect(text).toContain('not in this file alone');
    expect(await failsAlone(text)).toBe(false);
  });

  test('gives large tensors too, in lines that are full', async () => {
    const text = await fileOf('property p forall x: bool[9, 40], n: i32 check false');
    expect(text).not.toContain('x:');
    const large = await fileOf('property p forall x: i32[100] ascending distinct check x[99] < 5');
    const lines = large.split('\n').filter((line) => /^ +[\d, -]+$/.test(line));
    expect(lines.length).toBeLessThan(8);
    expect(await failsAlone(large)).toBe(true);
  });
});

// ── any ────────────────────────────────────────────────────────────────────────────────────────────────────

const elements = [
  'f32',
  'bf16',
  'f16',
  'f8e4m3',
  'f8e5m2',
  'i32',
  'u32',
  'i8',
  'u8',
  'bool',
  'ix(5)',
  'float',
];
const shapes = ['', '[N]', '[2, N]', '[N, 3]', '[N, M, N]', '[M * N]'];

/** Types of a value `x`, and a part of it that is one tensor. */
const quantified: fc.Arbitrary<{ readonly type: string; readonly part: string }> = fc.oneof(
  fc
    .record({ element: fc.constantFrom(...elements), shape: fc.constantFrom(...shapes) })
    .map(({ element, shape }) => ({ type: `${element}${shape}`, part: 'x' })),
  fc.constantFrom(
    { type: 'Pair(N)', part: 'x.left' },
    { type: 'Pair(N)[M]', part: 'x.right' },
    { type: 'Nested(N)[2]', part: 'x.pair.left' },
    { type: 'key', part: 'random_bits(x)' },
    { type: '(f32[N], i32[M])', part: 'first(x)' },
  ),
);

/** With a fault in each: it fails on some values, whatever these are of. */
const faulty = fc
  .record({
    one: quantified,
    holds: fc.constantFrom('x', 'z', 'w'),
    where: fc.constantFrom('', 'where 1 <= N', 'where N <= M, 1 <= N'),
    condition: fc.constantFrom('', 'given all i: z[i] == z[i]'),
    seed: fc.nat(99),
  })
  .map(({ one: { type, part }, holds, where, condition, seed }) => ({
    text: `
      type Pair(N) = { left: f32[N], right: i32[N] }
      type Nested(N) = { pair: Pair(N), scale: bf16 }
      fn first(x: (f32[N], i32[M])) -> f32[N] { let (a, b) = x  a }
      fn unread(x: f32[N]) -> f32[N] = x
      property p
        forall x: ${type}, y: ${type}, z: f32[N], w: i32[M, N]
        ${where}
        let unread = for i: z[i]
        ${condition}
        check ${type.startsWith('(') || type === 'key' || holds !== 'x' ? 'z == z' : 'x == x'}
        check ${part} == ${part.replace('x', 'y')}`,
    seed,
  }));

/** The mutant: `x` and `y` have the same value. Undefined where one of them is not in the property. */
function withSameValue(module: Module): Module | undefined {
  const property = module.declarations.find((each) => each.kind === 'property')!;
  const [x, y] = ['x', 'y'].map((name) =>
    property.quantifiers.find((each) => each.kind === 'value' && each.name.name === name),
  );
  if (x?.kind !== 'value' || y?.kind !== 'value') return undefined;
  const quantifiers = property.quantifiers.map((each) => (each === y ? { ...y, given: x.given } : each));
  const changed = { ...property, quantifiers };
  return withoutPlaces({
    ...module,
    comments: [],
    declarations: module.declarations.map((each) => (each === property ? changed : each)),
  });
}

test('each checks, is formatted, and fails by itself', async () => {
  let judged = 0;
  let mutants = 0;
  await fc.assert(
    fc.asyncProperty(faulty, async ({ text, seed }) => {
      const { outcome } = await reportOf(checkedText(text, file), seed);
      if (outcome.kind !== 'failed') return;
      const written = await fileOf(text, { seed });
      const { module, diagnostics } = parse({ path: file, text: written });
      expect(diagnostics).toEqual([]);
      expect(format(module, written)).toBe(written);
      expect(await failsAlone(written)).toBe(true);
      expect(written.split('\n').length).toBeLessThanOrEqual(16);
      judged++;
      const changed = withSameValue(module);
      if (changed === undefined) return;
      mutants++;
      expect(await failsAlone(format(changed, ''))).toBe(false);
    }),
    { numRuns: 30 },
  );
  expect(judged).toBeGreaterThan(20);
  expect(mutants).toBeGreaterThan(8);
});
