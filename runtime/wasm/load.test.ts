/** Packages of WebAssembly: runs, threads, what is refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { WasmPackage } from '../../compiler/plan/package.ts';
import { readPackage, writePackage } from '../../compiler/plan/package-files.ts';
import { relaxedWasmDevice, wasmDevice } from '../../compiler/tiles/device-profile.ts';
import { checkSource } from '../../driver/check.ts';
import { compileWasm } from '../../driver/compile.ts';
import { lower } from '../../driver/lower.ts';
import { isUserError } from '../errors.ts';
import { tensorFromValues, tensorValues } from '../weights/tensor-data.ts';
import { checkFeatures, wasmDeviceHere, wasmFeatures } from './features.ts';
import { loadWasm } from './load.ts';

const text = `
export fn scaled(x: f32[N], y: f32[N]) -> f32[N] = for i: x[i] * 2 + y[i]

export fn steps(x: f32[N]) -> f32[N] = fold t < 5 from h = x: for i: h[i] * 0.5 + f32(t)

export fn product(a: f32[N, N], b: f32[N, N]) -> f32[N, N] = for i, j: sum k: a[i, k] * b[k, j]
`;

function packageOf(entry: string, N: number, device = wasmDeviceHere()): WasmPackage {
  const checked = checkSource({ path: 'test.ricci', text });
  if (checked.kind === 'rejected') throw new Error(checked.diagnostics[0]!.message);
  const instance = { entry, sizes: new Map([['N', N]]), inputDtypes: new Map() };
  const lowered = lower(checked, instance);
  if (lowered.kind === 'rejected') throw new Error(lowered.diagnostics[0]!.message);
  return compileWasm(lowered, instance, device).package;
}

const numbers = (...values: number[]) => tensorFromValues('f32', [values.length], values);

async function failure(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (isUserError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'nothing';
}

test('inputs stay from run to run', async () => {
  const loaded = await loadWasm(packageOf('scaled', 3), { threads: 1 });
  const result = (given: Parameters<typeof loaded.run>[0]) => [
    ...tensorValues([...loaded.run(given).values()][0]!),
  ];
  expect(await failure(() => loaded.run(new Map([['x', numbers(1, 2, 3)]])))).toMatch(
    /wrong-input: the input y of scaled is missing/,
  );
  expect(result(new Map([['y', numbers(1, 1, 1)]]))).toEqual([3, 5, 7]);
  expect(result(new Map([['x', numbers(0, 0, 1)]]))).toEqual([1, 1, 3]);
  expect(await failure(() => loaded.run(new Map([['x', numbers(1)]])))).toMatch(/wrong-input/);
  expect(await failure(() => loaded.run(new Map([['z', numbers(1)]])))).toMatch(/there is no input z/);
});

test('states of loops swap places, and each run starts anew', async () => {
  const loaded = await loadWasm(packageOf('steps', 2), { threads: 1 });
  let wanted = [1, -3];
  for (let step = 0; step < 5; step++) wanted = wanted.map((state) => state * 0.5 + step);
  const given = new Map([['x', numbers(1, -3)]]);
  for (let turn = 0; turn < 3; turn++)
    expect([...tensorValues([...loaded.run(given).values()][0]!)]).toEqual(wanted);
});

describe('multiply-adds', () => {
  // Products of integers and their sums are exact in f32, however often they are rounded.
  const size = 37;
  const integers = (step: number) =>
    tensorFromValues(
      'f32',
      [size, size],
      Array.from({ length: size * size }, (_, at) => ((at * step) % 301) - 150),
    );
  const given = new Map([
    ['a', integers(7)],
    ['b', integers(11)],
  ]);

  test.runIf(wasmFeatures().has('relaxed-simd'))('of relaxed SIMD are those of every engine', async () => {
    const results = [wasmDevice, relaxedWasmDevice].map(async (device) =>
      (await loadWasm(packageOf('product', size, device), { threads: 1 })).run(given),
    );
    const [separate, together] = await Promise.all(results);
    expect(together).toEqual(separate);
  });

  test('of relaxed SIMD are refused where there is none', async () => {
    const { manifest } = packageOf('product', size, relaxedWasmDevice);
    expect(await failure(() => checkFeatures(manifest, new Set()))).toMatch(
      /exceeds-device: product requires relaxed-simd of WebAssembly/,
    );
    const { manifest: portable } = packageOf('product', size, wasmDevice);
    expect(await failure(() => checkFeatures(portable, new Set()))).toBe('nothing');
  });
});

test('with several threads the results are the same bits', async () => {
  const pkg = packageOf('product', 150);
  const values = (seed: number) =>
    tensorFromValues(
      'f32',
      [150, 150],
      Array.from({ length: 22_500 }, (_, at) => Math.sin(at * seed)),
    );
  const given = new Map([
    ['a', values(1)],
    ['b', values(2)],
  ]);
  const alone = await loadWasm(pkg, { threads: 1 });
  const together = await loadWasm(pkg, { threads: 3 });
  const wanted = alone.run(given);
  await new Promise((resolve) => setTimeout(resolve, 200));
  for (let turn = 0; turn < 10; turn++) expect(together.run(given)).toEqual(wanted);
  together.destroy();
});

describe('on disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ricci-wasm-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('a package is read as it was written', async () => {
    const pkg = packageOf('scaled', 5);
    const place = join(folder, 'scaled');
    await writePackage(place, pkg);
    const read = await readPackage(place);
    expect(read.manifest.target).toBe('wasm');
    expect(read).toEqual(pkg);
  });

  test('what was changed is refused', async () => {
    const place = join(folder, 'changed');
    await writePackage(place, packageOf('scaled', 5));
    const file = join(place, 'kernels.wasm');
    const bytes = readFileSync(file);
    writeFileSync(
      file,
      bytes.map((byte, at) => (at === bytes.length - 9 ? byte ^ 1 : byte)),
    );
    expect(await failure(() => readPackage(place))).toMatch(/its files are not as ricci compile wrote them/);
    rmSync(file);
    expect(await failure(() => readPackage(place))).toMatch(/file-access: cannot read .*kernels.wasm/);
  });

  test('a module that is none is refused', async () => {
    const pkg = packageOf('scaled', 5);
    const broken = { ...pkg, module: pkg.module.slice(0, 40) };
    expect(await failure(() => loadWasm(broken))).toMatch(
      /malformed-file: the kernels of scaled are no WebAssembly/,
    );
  });
});

test('what does not fit into the memory of a module is refused before anything is allocated', async () => {
  expect(await failure(() => packageOf('scaled', 400_000_000))).toMatch(
    /exceeds-device: scaled takes 4.5 GiB of memory, and WebAssembly has 4.0 GiB/,
  );
});
