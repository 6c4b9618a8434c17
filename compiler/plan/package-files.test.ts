import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { isUserError } from '../../dsl/diagnostics/user-error.ts';
import type { Manifest, Package } from './package.ts';
import { isPackage, readPackage, writePackage } from './package-files.ts';
import { parseManifest } from './parse-manifest.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ricci-package-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const manifest: Manifest = {
  format: 'ricci-package',
  version: 1,
  target: 'wgsl',
  entry: 'scale',
  sizes: { N: 3 },
  inputs: [{ path: 'x', dtype: 'f32', shape: [3], slot: 0 }],
  outputs: [{ path: 'out', dtype: 'f32', shape: [3], slot: 1 }],
  kernels: [
    {
      name: 'double',
      file: 'kernels/double.wgsl',
      workgroupSize: [64, 1, 1],
      grid: [1, 1, 1],
      bindings: ['read', 'write'],
      counters: 1,
    },
  ],
  slots: [
    { bytes: 12, role: 'input' },
    { bytes: 12, role: 'work' },
    { bytes: 12, role: 'work' },
  ],
  steps: [
    { kind: 'copy', from: 0, to: 1, bytes: 12 },
    {
      kind: 'loop',
      loop: 0,
      count: 2,
      steps: [{ kind: 'dispatch', kernel: 'double', slots: [1, 2], counters: [0] }],
      swaps: [[1, 2]],
    },
  ],
  peakBytes: 48,
  requires: {
    storageBuffersPerStage: 2,
    bindingBytes: 12,
    bufferBytes: 12,
    workgroupBytes: 0,
    invocationsPerWorkgroup: 64,
    workgroupSize: [64, 1, 1],
    workgroupsPerDimension: 1,
    features: [],
  },
};
const pkg: Package = { manifest, code: new Map([['double', '// double\n']]) };

async function failure(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isUserError(error)) throw error ?? new Error('nothing was refused');
  return error.message;
}

/** Every file below a folder with its text. */
function contents(directory: string): Record<string, string> {
  const files = fs.readdirSync(directory, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    files
      .filter((file) => file.isFile())
      .map((file) => path.join(file.parentPath, file.name))
      .map((file) => [path.relative(directory, file), fs.readFileSync(file, 'utf8')]),
  );
}

describe('a package', () => {
  test('is read as it was written, and written as the same bytes', async () => {
    const [first, second] = [path.join(folder, 'first'), path.join(folder, 'second')];
    await writePackage(first, pkg);
    expect(await readPackage(first)).toEqual(pkg);
    await writePackage(second, await readPackage(first));
    expect(contents(second)).toEqual(contents(first));
    expect(Object.keys(contents(first)).sort()).toEqual(['kernels/double.wgsl', 'manifest.json']);
  });

  test('replaces an older one whole, and nothing else', async () => {
    const target = path.join(folder, 'replaced');
    await writePackage(target, pkg);
    fs.writeFileSync(path.join(target, 'kernels', 'stale.wgsl'), '');
    await writePackage(target, pkg);
    expect(fs.existsSync(path.join(target, 'kernels', 'stale.wgsl'))).toBe(false);

    const other = path.join(folder, 'photographs');
    fs.mkdirSync(other);
    fs.writeFileSync(path.join(other, 'cat.jpg'), 'cat');
    expect(await failure(writePackage(other, pkg))).toContain('holds something else than a package');
    expect(contents(other)).toEqual({ 'cat.jpg': 'cat' });
    expect(await failure(writePackage(path.join(other, 'cat.jpg'), pkg))).toContain('is a file');
    expect(fs.readdirSync(folder).filter((name) => name.includes('.'))).toEqual([]);
    expect([await isPackage(target), await isPackage(other)]).toEqual([true, false]);
  });

  test('with a file missing or a broken manifest is refused, naming it', async () => {
    const target = path.join(folder, 'broken');
    expect(await failure(readPackage(target))).toContain('manifest.json');
    await writePackage(target, pkg);
    fs.rmSync(path.join(target, 'kernels', 'double.wgsl'));
    expect(await failure(readPackage(target))).toContain('double.wgsl');
    await writePackage(target, pkg);
    const kernel = path.join(target, 'kernels', 'double.wgsl');
    fs.writeFileSync(kernel, '// doub');
    expect(await failure(readPackage(target))).toContain('not as ricci compile wrote them');
    await writePackage(target, pkg);
    const file = path.join(target, 'manifest.json');
    const edited = fs.readFileSync(file, 'utf8').replace('"count": 2', '"count": 3');
    fs.writeFileSync(file, edited);
    expect(await failure(readPackage(target))).toContain('not as ricci compile wrote them');
    fs.writeFileSync(path.join(target, 'manifest.json'), '{');
    expect(await failure(readPackage(target))).toContain('is not JSON');
    fs.writeFileSync(path.join(target, 'manifest.json'), '['.repeat(100_000));
    expect(await failure(readPackage(target))).toContain('is not JSON');
  });
});

describe('a manifest', () => {
  const loop = manifest.steps[1] as Extract<Manifest['steps'][number], { kind: 'loop' }>;
  const dispatch = loop.steps[0] as Extract<Manifest['steps'][number], { kind: 'dispatch' }>;
  const inLoop = (change: object) => [{ ...loop, steps: [{ ...dispatch, ...change }] }];
  const nested = (depth: number): unknown =>
    depth === 0 ? [] : [{ ...loop, loop: depth, steps: nested(depth - 1) }];

  const exchange = {
    kind: 'exchange',
    verb: 'all_reduce',
    axes: ['tp'],
    devices: 3,
    combiner: 'sum',
    dtype: 'f32',
    elements: 3,
    from: 1,
    to: 2,
  } as const;
  const onMesh: Manifest = { ...manifest, mesh: { axes: [{ name: 'tp', size: 3 }] } };
  const exchanging = (change: object) => ({ ...onMesh, steps: [{ ...exchange, ...change }] });

  test.each<[string, unknown, RegExp]>([
    ['of another version', { ...manifest, version: 2 }, /version 2 is not version 1/],
    ['without an entry', { ...manifest, entry: '' }, /entry: /],
    ['with an unknown field', { ...manifest, extra: 1 }, /extra/],
    [
      'with an unknown dtype',
      { ...manifest, inputs: [{ ...manifest.inputs[0], dtype: 'f64' }] },
      /inputs\[0\]\.dtype/,
    ],
    [
      'that leaves its folder',
      { ...manifest, kernels: [{ ...manifest.kernels[0], file: '../x.wgsl' }] },
      /\.file/,
    ],
    [
      'with a missing kernel',
      { ...manifest, steps: inLoop({ kernel: 'x' }) },
      /steps\[0\]\.steps\[0\]\.kernel/,
    ],
    ['with a missing slot', { ...manifest, steps: inLoop({ slots: [1, 9] }) }, /there is no slot 9/],
    ['with too few slots', { ...manifest, steps: inLoop({ slots: [1] }) }, /double takes 2, not 1/],
    ['with a counter from outside', { ...manifest, steps: [dispatch] }, /the step is not in loop 0/],
    [
      'with a tensor too large',
      { ...manifest, outputs: [{ ...manifest.outputs[0], shape: [4] }] },
      /too small/,
    ],
    [
      'with more of a tensor than all devices have',
      { ...onMesh, outputs: [{ ...manifest.outputs[0], whole: [4] }] },
      /outputs\[0\]\.whole: dimension 0 is of 4, and all blocks together of 3/,
    ],
    [
      'with another number of dimensions of a whole tensor',
      { ...onMesh, outputs: [{ ...manifest.outputs[0], whole: [3, 1] }] },
      /outputs\[0\]\.whole: of 2 dimensions, not 1/,
    ],
    [
      'with an uneven swap',
      { ...manifest, slots: [...manifest.slots.slice(0, 2), { bytes: 16, role: 'work' }] },
      /sizes/,
    ],
    [
      'with a copy too long',
      { ...manifest, steps: [{ ...manifest.steps[0], bytes: 16 }] },
      /more than slot 0/,
    ],
    [
      'whose kernel asks for an axis that there is not',
      { ...manifest, kernels: [{ ...manifest.kernels[0], coordinates: ['tp'] }] },
      /kernels\[0\]\.coordinates: the mesh has no axis tp/,
    ],
    [
      'whose kernel asks for too much',
      { ...onMesh, kernels: [{ ...manifest.kernels[0], counters: 4, coordinates: ['tp'] }] },
      /kernels\[0\]\.coordinates: more than 4 with the counters/,
    ],
    [
      'whose mesh has an axis twice',
      { ...onMesh, mesh: { axes: [...onMesh.mesh!.axes, { name: 'tp', size: 2 }] } },
      /mesh\.axes: two have the same name/,
    ],
    [
      'whose mesh has an empty axis',
      { ...onMesh, mesh: { axes: [{ name: 'tp', size: 0 }] } },
      /mesh\.axes\[0\]/,
    ],
    ['with an unknown exchange', exchanging({ verb: 'gather' }), /steps\[0\].*/],
    ['that exchanges without a mesh', { ...manifest, steps: [exchange] }, /axes: the mesh has no axis tp/],
    ['that exchanges along an axis twice', exchanging({ axes: ['tp', 'tp'] }), /axes: one is listed twice/],
    ['that exchanges in other groups', exchanging({ devices: 2 }), /devices: not as many as the axes have/],
    ['that exchanges nothing', exchanging({ elements: 0 }), /steps\[0\].*/],
    ['that exchanges from nowhere', exchanging({ from: 9 }), /steps\[0\]\.from: there is no slot 9/],
    ['that exchanges too much', exchanging({ elements: 4 }), /steps\[0\]\.from: slot 1 is too small/],
    [
      'that gathers into too little',
      exchanging({ verb: 'all_gather' }),
      /steps\[0\]\.to: slot 2 is too small/,
    ],
    [
      'that scatters too little',
      exchanging({ verb: 'reduce_scatter' }),
      /steps\[0\]\.from: slot 1 is too small/,
    ],
    ['that shifts in place', exchanging({ verb: 'shift', to: 1 }), /to: is the slot that shift sends from/],
    ['with loops without end', { ...manifest, steps: nested(3000) }, /nested too deeply/],
    ['that is a number', 5, /the manifest/],
    ['that is null', null, /the manifest/],
  ])('%s is refused', (_, value, message) => {
    expect(() => parseManifest(value, 'manifest.json')).toThrow(message);
  });

  test('as planned is accepted', () => {
    expect(parseManifest(JSON.parse(JSON.stringify(manifest)), 'manifest.json')).toEqual(manifest);
    for (const change of [{}, { to: 1 }, { verb: 'shift' }, { elements: 1, verb: 'all_gather' }]) {
      const value = exchanging(change);
      expect(parseManifest(JSON.parse(JSON.stringify(value)), 'manifest.json')).toEqual(value);
    }
  });
});
