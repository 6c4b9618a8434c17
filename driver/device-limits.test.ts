/** What is compiled for a device keeps to its limits, or is refused before there is a device at all. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Kernel } from '../compiler/plan/kernel.ts';
import type { DeviceProfile } from '../compiler/tiles/device-profile.ts';
import { leastDevice } from '../compiler/tiles/device-profile.ts';
import { instancesOf } from '../property-tests/instances.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { type Checked, checkFile } from './check.ts';
import { packageRoot } from './package-root.ts';
import { checkText, compileEntry } from './testing.ts';

const devices: readonly DeviceProfile[] = [
  leastDevice,
  { ...leastDevice, name: 'the least software device', software: true },
  { ...leastDevice, name: 'a software device with subgroups', software: true, subgroupSize: 4 },
  {
    ...leastDevice,
    name: 'the least device of compatibility mode',
    maxInvocationsPerWorkgroup: 128,
    maxWorkgroupSize: [128, 128, 64],
  },
];

function accept(path: string): Checked {
  const outcome = checkFile(join(packageRoot, path));
  if (outcome.kind === 'rejected') throw new Error(`${path} has errors`);
  return outcome;
}

/** Bytes of the arrays in workgroup memory that a kernel's text declares. */
function declaredWorkgroupBytes(code: string): number {
  const widths: Readonly<Record<string, number>> = {
    f32: 1,
    i32: 1,
    u32: 1,
    bool: 1,
    vec4f: 4,
    vec4i: 4,
    vec4u: 4,
  };
  const arrays = [...code.matchAll(/var<workgroup> \w+: array<([\w<>]+), (\d+)>;/g)];
  return arrays.reduce(
    (total, [, type = '', count = '']) => total + 4 * (widths[type] ?? Number.NaN) * Number(count),
    0,
  );
}

/** Each way in which a kernel goes beyond what the device allows. */
function excesses(kernel: Kernel, device: DeviceProfile): string[] {
  const [x, y, z] = kernel.workgroupSize;
  const bytes = declaredWorkgroupBytes(kernel.code);
  const checks: readonly (readonly [string, number, number])[] = [
    ['tensors', kernel.bindings.length, device.maxStorageBuffersPerStage],
    ['workgroup memory', bytes, device.maxWorkgroupBytes],
    ['invocations', x * y * z, device.maxInvocationsPerWorkgroup],
    ...kernel.workgroupSize.map((size, axis) => ['size', size, device.maxWorkgroupSize[axis] ?? 0] as const),
    ...kernel.grid.map((count) => ['workgroups', count, device.maxWorkgroupsPerDimension] as const),
  ];
  expect(kernel.workgroupBytes, kernel.name).toBe(bytes);
  return checks.flatMap(([what, needed, offered]) =>
    needed <= offered ? [] : [`${kernel.name}: ${needed} ${what}, of ${offered}`],
  );
}

const programs = readdirSync(join(packageRoot, 'property-tests/programs')).filter((file) =>
  file.endsWith('.ricci'),
);

describe.each(devices)('$name', (device) => {
  test.each(programs)('is not asked for more than it has by %s', (file) => {
    const checked = accept(`property-tests/programs/${file}`);
    for (const { name, exported } of checked.program.entries.values()) {
      if (!exported) continue;
      for (const sizes of instancesOf(checked.program, name).slice(0, 2).slice(-1)) {
        const { kernels } = compileEntry(checked, name, sizes, device).compiled;
        expect(
          kernels.flatMap((kernel) => excesses(kernel, device)),
          name,
        ).toEqual([]);
      }
    }
  });

  test('nor by the large workloads', () => {
    const checked = accept('bench/cases.ricci');
    const workloads: readonly (readonly [string, Readonly<Record<string, number>>])[] = [
      ['matmul', { M: 1024, N: 1024, K: 1024 }],
      ['matmul', { M: 1, N: 4096, K: 4096 }],
      ['softmax_rows', { N: 1024, M: 1024 }],
      ['causal', { H: 8, S: 512, A: 64 }],
      ['experts', { T: 512, D: 256, F: 512, E: 8 }],
    ];
    for (const [entry, sizes] of workloads) {
      const { kernels } = compileEntry(checked, entry, sizes, device).compiled;
      expect(
        kernels.flatMap((kernel) => excesses(kernel, device)),
        entry,
      ).toEqual([]);
    }
  });
});

// ── many tensors ───────────────────────────────────────────────────────────────────────────────────────────

test('a sum of more tensors than a kernel can have becomes several kernels', () => {
  const names = Array.from({ length: 20 }, (_, at) => `x${at}`);
  const text = `export fn total(${names.map((name) => `${name}: f32[N]`).join(', ')}) -> f32[N] =
    for n: ${names.map((name) => `${name}[n]`).join(' + ')}`;
  const { kernels } = compileEntry(checkText(text), 'total', { N: 100 }, leastDevice).compiled;
  expect(kernels.length).toBeGreaterThan(2);
  expect(kernels.flatMap((kernel) => excesses(kernel, leastDevice))).toEqual([]);
});

test('an element looked up through many tensors, too', () => {
  const text = `export fn looked_up(table: f32[4, 4, 4], i: ix(4)[N], j: ix(4)[N], k: ix(4)[N], y: f32[N]) -> f32[N] =
    for n: table[i[n], j[n], k[n]] * y[n]`;
  const device = { ...leastDevice, maxStorageBuffersPerStage: 5 };
  const { kernels } = compileEntry(checkText(text), 'looked_up', { N: 100 }, device).compiled;
  expect(kernels.length).toBe(2);
  expect(kernels.flatMap((kernel) => excesses(kernel, device))).toEqual([]);
});

// ── large tensors ──────────────────────────────────────────────────────────────────────────────────────────

const elementwise = checkText('export fn next(x: f32[N]) -> f32[N] = for n: x[n] + 1');

test('an elementwise operation on more elements than a dimension has workgroups for runs whole', async () => {
  const opened = await openDevice(await openAdapter());
  const limit = 1000;
  const device = { ...opened.profile, maxWorkgroupsPerDimension: limit };
  // Workgroups are of 256 invocations at most, each with four elements.
  const count = (limit + 3) * 1024 + 4;
  const { package: compiled, kernels } = compileEntry(elementwise, 'next', { N: count }, device).compiled;
  const [groups] = kernels.map(({ grid: [x, y, z] }) => x * y * z);
  expect(groups).toBeGreaterThan(limit);
  expect(kernels.flatMap((kernel) => excesses(kernel, device))).toEqual([]);
  const loaded = await loadPackage(compiled, opened);
  const x = Float32Array.from({ length: count }, (_, at) => at % 1000);
  const { bytes } = (
    await loaded.run(new Map([['x', { dtype: 'f32', shape: [count], bytes: new Uint8Array(x.buffer) }]]))
  ).get('out')!;
  const out = new Float32Array(bytes.buffer, bytes.byteOffset, count);
  expect(out.findIndex((value, at) => value !== (at % 1000) + 1)).toBe(-1);
  loaded.destroy();
  opened.destroy();
});

test('what is too large is one error that says so, from the profile alone', () => {
  const compile = (count: number) => compileEntry(elementwise, 'next', { N: count }, leastDevice);
  expect(() => compile(2 ** 25)).not.toThrow();
  expect(() => compile(2 ** 25 + 4)).toThrow(
    expect.objectContaining({
      name: 'UserError',
      code: 'exceeds-device',
      message: expect.stringMatching(
        /^next does not fit the least device: its largest tensor takes 128.* MiB/,
      ),
    }),
  );
});

// ── narrow types ───────────────────────────────────────────────────────────────────────────────────────────

function elements(shape: readonly number[]): number {
  return shape.reduce((total, extent) => total * extent, 1);
}

describe.each(['f16', 'bf16'] as const)('%s without support by the adapter', (dtype) => {
  const checked = checkText(`
    export fn squares(x: float[N]) -> f32 = sum n: x[n] * x[n]
    export fn product(x: float[M, K], y: float[K, N]) -> f32[M, N] = for m, n: sum k: x[m, k] * y[k, n]`);
  const count = 5000;

  test.each([
    ['squares', { N: count }, { x: [count] }],
    ['product', { M: 8, K: count, N: 8 }, { x: [8, count], y: [count, 8] }],
  ] as const)('is stored narrow and summed in f32: %s', async (entry, sizes, shapes) => {
    const opened = await openDevice(await openAdapter());
    const device = { ...opened.profile, f16: false };
    const inputs = Object.entries<readonly number[]>(shapes).map(([path, shape]) => {
      const length = elements(shape);
      return [path, tensorFromValues(dtype, shape, new Array<number>(length).fill(1))] as const;
    });
    const dtypes = Object.fromEntries(inputs.map(([path]) => [path, dtype]));
    const { package: compiled, kernels } = compileEntry(checked, entry, sizes, device, dtypes).compiled;
    expect(compiled.manifest.requires.features).not.toContain('shader-f16');
    for (const { code } of kernels) expect(code).not.toContain('enable f16');
    for (const { shape, slot } of compiled.manifest.inputs)
      expect(compiled.manifest.slots[slot]?.bytes).toBe(
        2 * shape.reduce((total, extent) => total * extent, 1),
      );
    const loaded = await loadPackage(compiled, opened);
    const out = (await loaded.run(new Map(inputs))).get('out')!;
    // Ones added up in f16 stop at 2048, in bf16 at 256.
    expect(new Set(tensorValues(out))).toEqual(new Set([count]));
    loaded.destroy();
    opened.destroy();
  });
});
