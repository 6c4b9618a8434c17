import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Graph, LoopNode, Tensor } from '../../compiler/graph/graph.ts';
import type { Kernel } from '../../compiler/plan/kernel.ts';
import { planPackage } from '../../compiler/plan/plan-package.ts';
import type { ScheduledStep } from '../../compiler/tiles/scheduled.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../weights/tensor-data.ts';
import { openAdapter } from './adapter.ts';
import { type OpenedDevice, openDevice } from './device.ts';
import { loadPackage } from './execute.ts';

let opened: OpenedDevice;
beforeAll(async () => {
  opened = await openDevice(await openAdapter());
});
afterAll(() => opened.destroy());

const tensor = (id: number, dtype: Dtype, ...shape: number[]): Tensor => ({
  id,
  name: `t${id}`,
  dtype,
  shape,
});

function kernel(name: string, reads: number[], write: number, body: string, counters: number[] = []): Kernel {
  const bindings: Kernel['bindings'] = [
    ...reads.map((id) => ({ tensor: id, access: 'read' as const })),
    { tensor: write, access: 'write' },
  ];
  const declarations = bindings.map(({ access }, index) => {
    const mode = access === 'read' ? 'read' : 'read_write';
    const variable = access === 'read' ? `in${index}` : 'out';
    return `@group(0) @binding(${index}) var<storage, ${mode}> ${variable}: array<u32>;`;
  });
  if (counters.length > 0)
    declarations.push(`@group(0) @binding(${bindings.length}) var<uniform> counters: vec4<u32>;`);
  const code = `${declarations.join('\n')}
    @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3<u32>) { let i = id.x; ${body} }`;
  return { name, code, workgroupSize: [1, 1, 1], grid: [1, 1, 1], bindings, counters };
}

const stepOf = (one: Kernel): ScheduledStep => ({
  kind: 'kernel',
  program: { name: one.name, buffers: one.bindings, counters: one.counters } as never,
});

const words = (values: number[]) => tensorFromValues('u32', [values.length], values);
const numbers = (result: ReadonlyMap<string, TensorData>, path: string) => [
  ...tensorValues(result.get(path)!),
];

/** h ← 3·h + step, `count` times, collecting three bytes of each h, and the same inside two loops. */
function foldProgram(count: number) {
  const start = kernel('start', [0], 1, 'out[i] = in0[i] + 1u;');
  const next = kernel('next', [2], 3, 'out[i] = 3u * in0[i] + counters.x;', [7]);
  const bytes = kernel('bytes', [3], 4, 'out[i] = in0[i] & 0xffffffu;');
  const loop: LoopNode = {
    kind: 'loop',
    loop: 7,
    count,
    initial: [1],
    body: {
      name: 'body',
      inputs: [{ path: 'h', tensor: tensor(2, 'u32', 1) }],
      nodes: [],
      outputs: [
        { path: 'h', tensor: 3 },
        { path: 'bytes', tensor: 4 },
      ],
    },
    results: [tensor(5, 'u32', 1), tensor(6, 'u8', count, 3)],
  };
  const graph: Graph = {
    name: 'fold',
    inputs: [{ path: 'x', tensor: tensor(0, 'u32', 1) }],
    nodes: [loop],
    outputs: [
      { path: 'out.0', tensor: 5 },
      { path: 'out.1', tensor: 6 },
    ],
  };
  const kernels = [start, next, bytes];
  const steps: ScheduledStep[] = [
    stepOf(start),
    { kind: 'loop', loop, steps: [stepOf(next), stepOf(bytes)] },
  ];
  const temporaries = [tensor(1, 'u32', 1), tensor(3, 'u32', 1), tensor(4, 'u8', 3)];
  return planPackage(graph, { steps, temporaries }, kernels, opened.profile);
}

function foldOnProcessor(x: number, count: number): { final: number; bytes: number[] } {
  const bytes: number[] = [];
  let h = x + 1;
  for (let step = 0; step < count; step++) {
    h = (3 * h + step) % 2 ** 32;
    bytes.push(h & 0xff, (h >>> 8) & 0xff, (h >>> 16) & 0xff);
  }
  return { final: h, bytes };
}

function trivial(body: string, name = 'trivial') {
  const one = kernel(name, [0], 1, body);
  return planPackage(
    {
      name: 'entry',
      inputs: [{ path: 'x', tensor: tensor(0, 'u32', 4) }],
      nodes: [],
      outputs: [{ path: 'out', tensor: 1 }],
    },
    { steps: [stepOf(one)], temporaries: [tensor(1, 'u32', 4)] },
    [{ ...one, grid: [4, 1, 1] }],
    opened.profile,
  );
}

describe('a loaded package', () => {
  test.each([0, 1, 4, 5, 700])(
    'folds %i steps, with counters, swaps and slices of odd size, again and again',
    async (count) => {
      const loaded = await loadPackage(foldProgram(count), opened);
      for (const x of [5, 1000, 77]) {
        const result = await loaded.run(new Map([['x', words([x])]]));
        const expected = foldOnProcessor(x, count);
        expect(numbers(result, 'out.0')).toEqual([expected.final]);
        expect(numbers(result, 'out.1')).toEqual(expected.bytes);
      }
      loaded.destroy();
    },
  );

  test('takes as much memory as planned, and none when it runs', async () => {
    const pkg = foldProgram(6);
    const { device } = opened;
    const made: string[] = [];
    const watched = [
      'createBuffer',
      'createBindGroup',
      'createComputePipelineAsync',
      'createShaderModule',
    ] as const;
    const spied = new Proxy(device, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...values: unknown[]) => {
          if ((watched as readonly string[]).includes(String(name))) made.push(String(name));
          return Reflect.apply(value, target, values);
        };
      },
    });
    const loaded = await loadPackage(pkg, { ...opened, device: spied });
    expect(loaded.peakBytes).toBe(pkg.manifest.peakBytes);
    expect(made.length).toBeGreaterThan(8);
    made.length = 0;
    await loaded.run(new Map([['x', words([1])]]));
    await loaded.runOnDevice();
    expect(made).toEqual([]);
    loaded.destroy();
  });

  test('keeps its inputs on the device', async () => {
    const loaded = await loadPackage(trivial('out[i] = in0[i] * 2u;'), opened);
    await loaded.upload(new Map([['x', words([1, 2, 3, 4])]]));
    await loaded.runOnDevice();
    expect(numbers(await loaded.read(), 'out')).toEqual([2, 4, 6, 8]);
    expect(numbers(await loaded.run(new Map()), 'out')).toEqual([2, 4, 6, 8]);
    loaded.destroy();
  });

  test('runs overlapping calls one after the other', async () => {
    const loaded = await loadPackage(trivial('out[i] = in0[i] + 1u;'), opened);
    const calls = [10, 20, 30].map((value) => loaded.run(new Map([['x', words([value, 0, 0, value])]])));
    const results = await Promise.all(calls);
    expect(results.map((result) => numbers(result, 'out'))).toEqual([
      [11, 1, 1, 11],
      [21, 1, 1, 21],
      [31, 1, 1, 31],
    ]);
    loaded.destroy();
  });

  test('refuses inputs that are not its own, and runs on', async () => {
    const loaded = await loadPackage(trivial('out[i] = in0[i];'), opened);
    const refuse = (inputs: [string, TensorData][], message: string) =>
      expect(loaded.run(new Map(inputs))).rejects.toMatchObject({ code: 'wrong-input', message });
    await refuse([], 'the input x of entry is missing');
    await refuse([['y', words([1])]], 'there is no input y');
    await refuse([['x', words([1])]], 'the input x is u32[1], and u32[4] is expected');
    const short = { ...words([1, 2, 3, 4]), bytes: new Uint8Array(3) };
    await refuse([['x', short]], 'the input x is u32[4], which is 16 bytes, but has 3');
    expect(numbers(await loaded.run(new Map([['x', words([4, 3, 2, 1])]])), 'out')).toEqual([4, 3, 2, 1]);
    loaded.destroy();
  });

  test('tells how long each kernel took', async () => {
    if (!opened.timestamps) return;
    const loaded = await loadPackage(foldProgram(3), opened);
    await loaded.upload(new Map([['x', words([1])]]));
    const times = await loaded.time();
    const inLoop = ['next', 'bytes', 'copy_bytes'];
    const kernels = times.flatMap(({ kernel }) => (kernel === undefined ? [] : [kernel]));
    expect(kernels).toEqual(['start', ...inLoop, ...inLoop, ...inLoop]);
    const starts = times.map((time) => time.startNanoseconds);
    expect(starts).toEqual(starts.toSorted((left, right) => left - right));
    expect(times.every((time) => time.nanoseconds >= 0 && time.nanoseconds < 1e9)).toBe(true);
    expect(times.some((time) => time.nanoseconds > 0)).toBe(true);
    loaded.destroy();
  });
});

describe('loading', () => {
  test('a kernel that is not WGSL says which kernel and where', async () => {
    await expect(loadPackage(trivial('out[i] = nonsense;', 'softmax'), opened)).rejects.toMatchObject({
      code: 'device-refused',
      message: expect.stringMatching(/^the device refused the kernel softmax: .*nonsense/s),
    });
  });

  test('a package for a larger device is refused before anything is allocated', async () => {
    const small = { ...opened, profile: { ...opened.profile, maxBindingBytes: 8, name: 'a small device' } };
    await expect(loadPackage(trivial('out[i] = 1u;'), small)).rejects.toMatchObject({
      code: 'exceeds-device',
      message: expect.stringContaining('does not fit a small device'),
    });
  });
});

// ── failures ───────────────────────────────────────────────────────────────────────────────────────────────

describe('a device that fails', () => {
  test('by being lost ends the run that is under way, and each one after it', async () => {
    const own = await openDevice(await openAdapter());
    const loaded = await loadPackage(trivial('out[i] = in0[i];'), own);
    const inputs = new Map([['x', words([1, 2, 3, 4])]]);
    const running = loaded.run(inputs);
    own.destroy();
    await expect(running).rejects.toMatchObject({ name: 'UserError', code: 'device-lost' });
    await expect(loaded.run(inputs)).rejects.toMatchObject({ code: 'device-lost' });
  });

  test('to give memory is an error that says for how much, and what it gave is given back', async () => {
    const count = { made: 0, destroyed: 0 };
    const own = await openDevice(outOfMemoryAt('slot 1', await openAdapter(), count));
    await expect(loadPackage(trivial('out[i] = in0[i];'), own)).rejects.toMatchObject({
      name: 'UserError',
      code: 'out-of-memory',
      message: 'the device has no memory left for 48 bytes of tensors: not a byte',
    });
    expect(count).toEqual({ made: 3, destroyed: 3 });
    own.destroy();
  });

  test('to dispatch what it is given says which run', async () => {
    const pkg = trivial('out[i] = in0[i];');
    const own = await openDevice(await openAdapter());
    const loaded = await loadPackage(pkg, own);
    loaded.destroy();
    await expect(loaded.run(new Map([['x', words([1, 2, 3, 4])]]))).rejects.toMatchObject({
      code: 'device-refused',
      message: expect.stringMatching(/^the device refused a run of entry: .*destroyed/s),
    });
    own.destroy();
  });
});

interface BufferCount {
  made: number;
  destroyed: number;
}

/** The adapter, its device out of memory for the buffer called `label`, as Dawn would report it. */
function outOfMemoryAt(label: string, adapter: GPUAdapter, count: BufferCount): GPUAdapter {
  const wrapDevice = (device: GPUDevice): GPUDevice => {
    const filters: GPUErrorFilter[] = [];
    let isOut = false;
    return overriding(device, {
      createBuffer: (descriptor: GPUBufferDescriptor) => {
        isOut ||= descriptor.label === label;
        const buffer = device.createBuffer(descriptor);
        count.made++;
        const destroy = buffer.destroy.bind(buffer);
        buffer.destroy = () => {
          count.destroyed++;
          return destroy();
        };
        return buffer;
      },
      pushErrorScope: (filter: GPUErrorFilter) => {
        filters.push(filter);
        device.pushErrorScope(filter);
      },
      popErrorScope: async () => {
        const error = await device.popErrorScope();
        return filters.pop() === 'out-of-memory' && isOut ? { message: 'not a byte' } : error;
      },
    });
  };
  return overriding(adapter, {
    requestDevice: async (descriptor?: GPUDeviceDescriptor) =>
      wrapDevice(await adapter.requestDevice(descriptor)),
  });
}

/** `target` with some of its methods replaced. */
function overriding<T extends object>(target: T, methods: Readonly<Record<string, unknown>>): T {
  return new Proxy(target, {
    get: (_, name) => {
      if (typeof name === 'string' && name in methods) return methods[name];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
