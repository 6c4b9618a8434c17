/** Packages of PTX in the emulator: runs, what is refused, and what a kernel does that it may not. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { PtxPackage } from '../../compiler/plan/package.ts';
import { readPackage, writePackage } from '../../compiler/plan/package-files.ts';
import { checkSource } from '../../driver/check.ts';
import { compilePtx } from '../../driver/compile.ts';
import { lower } from '../../driver/lower.ts';
import { isUserError, UserError } from '../errors.ts';
import { tensorFromValues, tensorValues } from '../weights/tensor-data.ts';
import type { CudaDevice } from './device.ts';
import { openGpu } from './driver/open.ts';
import { buildStub, missingForStub } from './driver/testing.ts';
import { emulatorDevice } from './emulator-device.ts';
import { loadCuda } from './load.ts';

const text = `
export fn scaled(x: f32[N], y: f32[N]) -> f32[N] = for i: x[i] * 2 + y[i]

export fn steps(x: f32[N]) -> f32[N] = fold t < 5 from h = x: for i: h[i] * 0.5 + f32(t)
`;

type Parts = Partial<Record<'sizes' | 'bounds', ReadonlyMap<string, number>>>;

function packageOf(entry: string, { sizes = new Map(), bounds }: Parts): PtxPackage {
  const checked = checkSource({ path: 'test.ricci', text });
  if (checked.kind === 'rejected') throw new Error(checked.diagnostics[0]!.message);
  const instance = { entry, sizes, ...(bounds && { bounds }), inputDtypes: new Map() };
  const lowered = lower(checked, instance);
  if (lowered.kind === 'rejected') throw new Error(lowered.diagnostics[0]!.message);
  return compilePtx(lowered, instance, 'sm_80').package;
}

const ofThree = { sizes: new Map([['N', 3]]) };
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

test.runIf(missingForStub() === undefined)(
  'what runs again is one graph from the second time on',
  async () => {
    const stub = buildStub();
    const device = await openGpu({ environment: { RICCI_CUDA_LIBRARY: stub.path } });
    const loaded = loadCuda(packageOf('steps', ofThree), device);
    await loaded.run(new Map([['x', numbers(1, 2, 3)]]));
    const once = stub.noted();
    await loaded.runAgain();
    await loaded.runAgain();
    const launches = (text: string) => text.match(/<<</g)?.length;
    expect(launches(once)).toBe(5);
    expect(launches(stub.noted())).toBe(10);
    expect(stub.noted().match(/^a graph of \d+$/gm)).toHaveLength(2);
    loaded.destroy();
    device.release();
    expect(stub.alive()).toBe('');
    stub.remove();
  },
);

test('inputs stay from run to run', async () => {
  const loaded = loadCuda(packageOf('scaled', ofThree), emulatorDevice());
  const result = async (given: Parameters<typeof loaded.run>[0]) => [
    ...tensorValues((await loaded.run(given)).get('out')!),
  ];
  expect(await failure(() => loaded.run(new Map([['x', numbers(1, 2, 3)]])))).toMatch(
    /wrong-input: the input y of scaled is missing/,
  );
  expect(await result(new Map([['y', numbers(1, 1, 1)]]))).toEqual([3, 5, 7]);
  // Each run has its own results, however many are asked for at once.
  const [first, second] = await Promise.all([
    result(new Map([['x', numbers(0, 0, 1)]])),
    result(new Map([['x', numbers(4, 4, 4)]])),
  ]);
  expect([first, second]).toEqual([
    [1, 1, 3],
    [9, 9, 9],
  ]);
});

test('states of loops swap places, each run starts anew, and each launch is timed', async () => {
  const loaded = loadCuda(packageOf('steps', ofThree), emulatorDevice());
  let wanted = [1, -3, 0];
  for (let step = 0; step < 5; step++) wanted = wanted.map((state) => state * 0.5 + step);
  const given = new Map([['x', numbers(1, -3, 0)]]);
  for (let turn = 0; turn < 2; turn++)
    expect([...tensorValues((await loaded.run(given)).get('out')!)]).toEqual(wanted);
  const times = await loaded.time();
  expect(times.filter(({ kernel }) => kernel !== undefined)).toHaveLength(5);
});

test('a bounded package runs at each size, and gives that of the run', async () => {
  const { run } = loadCuda(packageOf('scaled', { bounds: new Map([['N', 300]]) }), emulatorDevice());
  for (const N of [300, 2, 0, 129]) {
    const values = Array.from({ length: N }, (_, at) => at);
    const given = new Map([
      ['x', numbers(...values)],
      ['y', numbers(...values)],
    ]);
    expect([...tensorValues((await run(given)).get('out')!)]).toEqual(values.map((value) => 3 * value));
  }
});

describe('is refused', () => {
  const pkg = packageOf('scaled', ofThree);

  test('what is for other GPUs', async () => {
    const manifest = { ...pkg.manifest, arch: 'sm_90a' as const };
    expect(await failure(() => loadCuda({ ...pkg, manifest }, emulatorDevice({ target: 'sm_80' })))).toBe(
      'exceeds-device: scaled was compiled for sm_90a, and the emulator runs sm_80',
    );
  });

  test('a module that is none, and one that lacks a kernel', async () => {
    const broken = { ...pkg, module: pkg.module.replace('ld.param.u64', 'ld.parm.u64') };
    expect(await failure(() => loadCuda(broken, emulatorDevice()))).toMatch(
      /^device-refused: the emulator refuses the kernels: line \d+, column \d+ of the PTX: /,
    );
    const head = pkg.module.slice(0, pkg.module.indexOf('//'));
    expect(await failure(() => loadCuda({ ...pkg, module: head }, emulatorDevice()))).toMatch(
      /^device-refused: the module has no kernel /,
    );
  });

  test('what there is no memory for: what was allocated is given back', async () => {
    const device = emulatorDevice();
    const held = new Set<bigint>();
    const small: CudaDevice = {
      ...device,
      allocate: (bytes) => {
        if (held.size === 2) throw new UserError('out-of-memory', 'no room', 'use less');
        const address = device.allocate(bytes);
        held.add(address);
        return address;
      },
      free: (address) => {
        held.delete(address);
        device.free(address);
      },
    };
    expect(await failure(() => loadCuda(pkg, small))).toBe('out-of-memory: no room');
    expect(held.size).toBe(0);
  });
});

describe('a kernel that does what it may not', () => {
  const pkg = packageOf('scaled', ofThree);
  const given = new Map([
    ['x', numbers(1, 2, 3)],
    ['y', numbers(1, 2, 3)],
  ]);
  const fault = async (from: RegExp, to: string) => {
    const module = pkg.module.replace(from, to);
    expect(module).not.toBe(pkg.module);
    const loaded = loadCuda({ ...pkg, module }, emulatorDevice());
    return failure(() => loaded.run(given));
  };

  test('is named, with the line of its PTX, and that of the program', async () => {
    expect(await fault(/(ld\.global\S* %\w+, \[%\w+)/, '$1 + 4096')).toMatch(
      /^kernel-fault: kernel \w+, line \d+ of its PTX: out of bounds: thread 0 of block \(0, 0, 0\) reads .* \(ld\.global\S*, from test\.ricci:2\)$/,
    );
  });

  test('reads what nobody wrote', async () => {
    const swapped = await fault(/ld\.param\.u64 (%\w+), \[buffer0\]/, 'ld.param.u64 $1, [buffer2]');
    expect(swapped).toMatch(/^kernel-fault: kernel \w+, line \d+ of its PTX: uninitialised memory: /);
  });

  test('leaves out an element of its result', async () => {
    expect(await fault(/setp\.lt\.s32 %p1, .*, 3;/, 'setp.lt.s32 %p1, 0, 0;')).toBe(
      'kernel-fault: no kernel of this run has written out[1]',
    );
  });

  test('leaves its result to what a run before computed, at one size or more', async () => {
    let isIdle = false;
    const device = emulatorDevice();
    const idle: CudaDevice = {
      ...device,
      load: (...of) => {
        const { kernel, unload } = device.load(...of);
        const launching: typeof kernel = (name) => {
          const { launch } = kernel(name);
          return { launch: (...given) => (isIdle ? undefined : launch(...given)) };
        };
        return { kernel: launching, unload };
      },
    };
    const bounded = packageOf('scaled', { bounds: new Map([['N', 300]]) });
    for (const own of [pkg, bounded]) {
      isIdle = false;
      const loaded = loadCuda(own, idle);
      expect([...tensorValues((await loaded.run(given)).get('out')!)]).toEqual([3, 6, 9]);
      isIdle = true;
      expect(await failure(() => loaded.run(given))).toBe(
        'kernel-fault: no kernel of this run has written out[0]',
      );
    }
  });
});

describe('on disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ricci-ptx-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const pkg = packageOf('scaled', ofThree);

  test('a package is read as it was written', async () => {
    const place = join(folder, 'scaled');
    await writePackage(place, pkg);
    expect(await readPackage(place)).toEqual(pkg);
  });

  const mapsOf = (buffer: number, strides: readonly number[]) => {
    const map = { buffer, dtype: 'bf16', shape: [8], strides, box: [8], swizzle: 32 };
    return JSON.stringify({ maps: [map] }).slice(1, -1);
  };

  test.each([
    ['"arch": "sm_80"', '"arch": "sm_70"', /manifest\.json: arch: /],
    ['"sharedBytes": ', '"sharedBytes": -1', /manifest\.json: kernels\[0\]\.sharedBytes: /],
    [
      '"sharedBytes": 0',
      `"sharedBytes": 0, ${mapsOf(3, [])}`,
      /kernels\[0\]\.maps\[0\]\.buffer: the kernel has no/,
    ],
    [
      '"sharedBytes": 0',
      `"sharedBytes": 0, ${mapsOf(0, [4])}`,
      /kernels\[0\]\.maps\[0\]: not a box and strides/,
    ],
    ['"kernel": "', '"kernel": "no_', /manifest\.json: steps\[0\]\.kernel: there is no kernel no_/],
  ])('a manifest with %s changed to %s is refused, naming the field', async (from, to, message) => {
    const place = join(folder, 'damaged');
    await writePackage(place, pkg);
    const file = join(place, 'manifest.json');
    const text = readFileSync(file, 'utf8');
    expect(text).toContain(from);
    writeFileSync(file, text.replace(from, to));
    expect(await failure(() => readPackage(place))).toMatch(message);
  });

  test('what was changed is refused', async () => {
    const place = join(folder, 'changed');
    await writePackage(place, pkg);
    const file = join(place, 'kernels.ptx');
    writeFileSync(file, `${pkg.module}\n`);
    expect(await failure(() => readPackage(place))).toMatch(/its files are not as ricci compile wrote them/);
    rmSync(file);
    expect(await failure(() => readPackage(place))).toMatch(/file-access: cannot read .*kernels.ptx/);
  });
});
