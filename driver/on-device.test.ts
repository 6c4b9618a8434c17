/** Tensors that stay on a WebGPU device from call to call. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDevice } from '../backends/wgsl/testing.ts';
import { bufferUsage } from '../runtime/webgpu/usage.ts';
import { DeviceTensor, load, type Model, tensor, valuesOf } from './model.ts';

const source = `
/// Reads neighbours, so that its input must not be where it writes.
export fn turned(x: f32[N], w: f32[N]) -> f32[N] = for i: w[i] * x[(i + 1) % N]
export fn halves(x: bf16[N]) -> (f32[N], bf16[N]) = (for i: x[i] / 2, x)
`;

let folder: string;
let file: string;
let model: Model;
let device: GPUDevice;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-on-device-'));
  file = join(folder, 'model.ricci');
  writeFileSync(file, source);
  device = (await testDevice()).device;
  model = await load(file, { target: 'wgsl', device });
});
afterAll(() => {
  model.close();
  rmSync(folder, { recursive: true });
});

const { storage, copySource, copyDestination } = bufferUsage;

function bufferOf(bytes: Uint8Array, size = bytes.byteLength): GPUBuffer {
  const buffer = device.createBuffer({ size, usage: storage | copySource | copyDestination });
  device.queue.writeBuffer(buffer, 0, new Uint8Array(bytes));
  return buffer;
}

function onDevice(values: readonly number[]): DeviceTensor<'f32'> {
  const { dtype, shape, bytes } = tensor('f32', [values.length], values);
  return new DeviceTensor(dtype, shape, bufferOf(bytes));
}

const turned = (x: readonly number[], w: readonly number[]) =>
  x.map((_, i) => w[i]! * x[(i + 1) % x.length]!);
const read = async (found: DeviceTensor) => [...valuesOf(await model.webgpu.read(found))];
const w = [2, 3, 5];

test('inputs are read where they are, with what is in them then', async () => {
  const [x, weights] = [onDevice([1, 2, 3]), onDevice(w)];
  const { out } = await model.call('turned', { x, w: weights });
  expect([...valuesOf(out)]).toEqual(turned([1, 2, 3], w));
  device.queue.writeBuffer(x.buffer, 0, new Float32Array([7, 8, 9]));
  expect([...valuesOf((await model.call('turned', { x, w: weights })).out)]).toEqual(turned([7, 8, 9], w));
});

test('inputs change places: on the device, in memory, in other buffers', async () => {
  const inMemory = (values: readonly number[]) => tensor('f32', [3], values);
  const cases = [onDevice([1, 2, 3]), inMemory([4, 5, 6]), onDevice([7, 8, 9]), inMemory([1, 1, 2])];
  for (const x of [...cases, ...cases.toReversed()])
    for (const weights of [onDevice(w), inMemory(w)]) {
      const { out } = await model.call('turned', { x, w: weights });
      const values = x instanceof DeviceTensor ? await read(x) : [...valuesOf(x)];
      expect([...valuesOf(out)]).toEqual(turned(values, w));
    }
});

test('results stay, and are inputs of the next call', async () => {
  let expected: number[] = [1, 2, 3];
  let x: DeviceTensor = onDevice(expected);
  for (let step = 0; step < 4; step++) {
    ({ out: x } = await model.webgpu.call('turned', { x, w: onDevice(w) }));
    expected = turned(expected, w);
  }
  expect(await read(x)).toEqual(expected);
});

test('a result that is an input is where the input is', async () => {
  const { dtype, shape, bytes } = tensor('bf16', [3], [1, 2, 3]);
  const x = new DeviceTensor(dtype, shape, bufferOf(new Uint8Array([...bytes, 0, 0])));
  const found = await model.webgpu.call('halves', { x });
  expect(await read(found['out.0']!)).toEqual([0.5, 1, 1.5]);
  expect(await read(found['out.1']!)).toEqual([1, 2, 3]);
});

test('buffers that do not do are refused, and the next call goes well', async () => {
  const [bytes, weights] = [new Uint8Array(12), onDevice(w)];
  expect(() => new DeviceTensor('f32', [3], bufferOf(bytes.slice(4)))).toThrow(
    'f32[3] takes a buffer of 12 bytes, and this one has 8 bytes',
  );
  const unusable = device.createBuffer({ size: 12, usage: copyDestination });
  expect(() => new DeviceTensor('f32', [3], unusable)).toThrow('without the usage STORAGE');
  const destroyed = onDevice([1, 2, 3]);
  destroyed.buffer.destroy();
  await expect(model.call('turned', { x: destroyed, w: weights })).rejects.toMatchObject({
    code: 'wrong-input',
    message: expect.stringContaining('turned was given a buffer that cannot be used'),
  });
  const doubled = new DeviceTensor('f32', [6], onDevice([1, 2, 3, 4, 5, 6]).buffer);
  await expect(model.call('turned', { x: doubled, w: weights })).rejects.toThrow('w has the shape [3]');
  const { out } = await model.call('turned', { x: onDevice([1, 2, 3]), w: weights });
  expect([...valuesOf(out)]).toEqual(turned([1, 2, 3], w));
});

test('other targets, and meshes, say that tensors come from memory', async () => {
  for (const options of [{ target: 'wasm' }, { target: 'reference' }, { mesh: { dp: 2 } }] as const) {
    const elsewhere = await load(file, options);
    await expect(elsewhere.webgpu.device()).rejects.toThrow('cannot be on a WebGPU device');
    if (!('mesh' in options))
      await expect(elsewhere.call('turned', { x: onDevice([1]), w: onDevice([1]) })).rejects.toThrow(
        'the input x cannot be on a WebGPU device',
      );
    elsewhere.close();
  }
});

test('thousands of calls keep nothing', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const [x, weights] = [onDevice([1, 2, 3]), onDevice([1, 1, 1])];
  const calls = async (count: number) => {
    for (let call = 0; call < count; call++) await model.webgpu.call('turned', { x, w: weights });
    await model.webgpu.read(x);
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  // What is compiled meanwhile, and what a test runner keeps, grows now and then: not in every round.
  const held: number[] = [];
  for (let round = 0; round < 5; round++) held.push(await calls(300));
  const growth = held.slice(1).map((after, round) => (after - held[round]!) / 300);
  expect(Math.min(...growth)).toBeLessThan(200);
}, 60_000);
