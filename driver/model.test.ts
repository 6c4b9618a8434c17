import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TensorData } from '../runtime/weights/tensor-data.ts';
import { key, type LoadOptions, load, type Model, scalar, type Target, tensor, valuesOf } from './model.ts';

const source = `
type Pair(N) = { left: f32[N], right: float[N] }
export fn scaled(x: f32[M, N], by: Pair(N), c: f32) -> f32[M, N] =
  for m, n: c * x[m, n] * by.left[n] * by.right[n]
export fn picked(table: f32[V], place: ix(V)[S]) -> f32[S] = for s: table[place[s]]
export fn drawn[N](seed: key) -> f32[N] = for n: uniform(fold_in(seed, n))
type Halves(N) = { left: f32[N], right: f32[N] }
export fn split(x: f32[N]) -> Halves(N) = Halves(left: x, right: 2 * x)
export fn close(x: f32) -> f32 = x + 1
export fn pair(x: f32[N]) -> (f32[N], f32) = (2 * x, sum n: x[n])
`;

let folder: string;
let file: string;
const targets = ['wgsl', 'wasm', 'ptx', 'reference'] as const;
const models = new Map<Target, Model>();
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-model-'));
  file = join(folder, 'model.ricci');
  writeFileSync(file, source);
  for (const target of targets) models.set(target, await load(file, { target }));
});
afterAll(() => {
  for (const model of models.values()) model.close();
  rmSync(folder, { recursive: true });
});

function modelOf(target: Target): Model {
  return models.get(target) ?? expect.unreachable();
}

const by = { left: tensor('f32', [2], [1, 2]), right: tensor('bf16', [2], [10, 100]) };

test.each(targets)('%s: records nest, sizes come from shapes', async (target) => {
  const x = tensor('f32', [2, 2], [1, 2, 3, 4]);
  const { out } = await modelOf(target).call('scaled', { x, by, c: scalar('f32', 2) });
  expect(out.shape).toEqual([2, 2]);
  expect([...valuesOf(out)]).toEqual([20, 800, 60, 1600]);
});

test.each(targets)('%s: a second call with other shapes', async (target) => {
  const x = tensor('f32', [1, 2], [1, 1]);
  const { out } = await modelOf(target).call('scaled', { x, by, c: scalar('f32', 1) });
  expect([...valuesOf(out)]).toEqual([10, 200]);
});

test.each(targets)('%s: a tuple has its parts by number', async (target) => {
  const outputs = await modelOf(target).call('pair', { x: tensor('f32', [3], [1, 2, 3]) });
  expect([...valuesOf(outputs['out.0'] ?? expect.unreachable())]).toEqual([2, 4, 6]);
  expect([...valuesOf(outputs['out.1'] ?? expect.unreachable())]).toEqual([6]);
});

test('where nobody says, it runs on a GPU or in WebAssembly', async () => {
  const heard: string[] = [];
  const model = await load(file, { report: (line) => heard.push(line) });
  const wasm = modelOf('wasm');
  for (const x of [tensor('f32', [3], [1, 2, 3]), tensor('f32', [2], [1, 2])])
    expect(await model.call('pair', { x })).toEqual(await wasm.call('pair', { x }));
  expect(heard.length).toBeLessThanOrEqual(1);
  model.close();
});

test('the same key draws the same numbers on all targets', async () => {
  const draw = async (target: Target, seed: number) => {
    const { out } = await modelOf(target).call('drawn', { seed: key(seed) }, { N: 5 });
    return [...valuesOf(out)];
  };
  expect(await draw('wgsl', 3)).toEqual(await draw('reference', 3));
  expect(await draw('wasm', 3)).toEqual(await draw('reference', 3));
  expect(await draw('ptx', 3)).toEqual(await draw('reference', 3));
  expect(await draw('wgsl', 3)).not.toEqual(await draw('wgsl', 4));
});

test('entries are methods of the model, with results nested as declared', async () => {
  interface Entries {
    pair(inputs: object): Promise<{ out: readonly [TensorData, TensorData] }>;
    split(inputs: object): Promise<{ out: { left: TensorData; right: TensorData } }>;
  }
  const model = await load<Entries>(file, { target: 'reference' });
  const pair = await model.pair({ x: tensor('f32', [1], [1]) });
  expect(pair.out.map((each) => [...valuesOf(each)])).toEqual([[2], [1]]);
  const { out } = await model.split({ x: tensor('f32', [2], [3, 4]) });
  expect([out.left, out.right].map((each) => [...valuesOf(each)])).toEqual([
    [3, 4],
    [6, 8],
  ]);
});

test("an entry named as the model's own method is called by its name", async () => {
  const model = await load(file, { target: 'reference' });
  const { out } = await model.call('close', { x: scalar('f32', 4) });
  expect([...valuesOf(out)]).toEqual([5]);
});

test('a closed model takes a device anew', async () => {
  const model = await load(file);
  const draw = async () => valuesOf((await model.call('drawn', { seed: key(3) }, { N: 2 })).out);
  const before = await draw();
  model.close();
  expect(await draw()).toEqual(before);
  model.close();
});

test('as PTX on a mesh, and up to bounds, it computes the same, and says once where', async () => {
  const heard: string[] = [];
  const report = (line: string) => heard.push(line);
  for (const options of [{ mesh: { dp: 2 }, auto: true }, { bounds: { N: 5 } }]) {
    heard.length = 0;
    const model = await load(file, { target: 'ptx', report, ...options });
    for (const x of [tensor('f32', [4], [1, 2, 3, 4]), tensor('f32', [2], [1, 2])])
      expect(await model.call('pair', { x })).toEqual(await modelOf('wasm').call('pair', { x }));
    expect(heard.length).toBeLessThanOrEqual(1);
    model.close();
  }
});

test('a tensor has as many values as its shape says', () => {
  expect(() => tensor('f32', [2, 2], [1, 2, 3])).toThrow(/f32\[2, 2\] takes 4 values, not 3/);
});

const refusals: readonly [string, string, Parameters<Model['call']>[1], RegExp][] = [
  ['a missing input', 'pair', {}, /size N|x is missing/],
  [
    'an input that there is not',
    'pair',
    { x: tensor('f32', [1], [1]), y: tensor('f32', [1], [1]) },
    /no input y/,
  ],
  ['a wrong dtype', 'pair', { x: tensor('i32', [1], [1]) }, /x is i32\[1\], not f32\[1\]/],
  ['a wrong rank', 'pair', { x: tensor('f32', [1, 1], [1]) }, /x/],
  ['sizes that disagree', 'scaled', { x: tensor('f32', [1, 3], [1, 1, 1]), by, c: scalar('f32', 1) }, /N|3/],
  [
    'an index out of range',
    'picked',
    { table: tensor('f32', [3], [1, 2, 3]), place: tensor('i32', [1], [3]) },
    /place has 3 at position 0/,
  ],
  ['an unknown entry', 'nothing', {}, /no function nothing/],
];

test.each(refusals)('%s is refused', async (_, entry, inputs, message) => {
  await expect(modelOf('reference').call(entry, inputs)).rejects.toThrow(message);
});

test('a file with errors is refused with all of them', async () => {
  const broken = join(folder, 'broken.ricci');
  writeFileSync(broken, 'export fn f(x: f32[N]) -> f32[M] = x\nexport fn g(x: f32) -> f32 = y\n');
  await expect(load(broken)).rejects.toThrow(/broken.ricci:1.*broken.ricci:2/s);
});

test('factors are rounded by matrix units of PTX alone', async () => {
  const unknown = ['fast'] as unknown as NonNullable<LoadOptions['allow']>;
  await expect(load(file, { target: 'ptx', allow: unknown })).rejects.toThrow(/allow: there is no fast/);
  await expect(load(file, { target: 'wasm', allow: ['rounded-factors'] })).rejects.toThrow(
    /is of the target ptx/,
  );
});
