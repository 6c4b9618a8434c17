/** Whatever is put in a wrong place on its way to the driver is noticed by the stub. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openWorld, type World } from '../../../property-tests/mutants/testing.ts';
import { buildStub, missingForStub, type Stub } from './testing.ts';

/** `[file, text, text in its place]` */
const faults: readonly (readonly [string, string, string])[] = [
  ['launches.ts', 'block: 12', 'block: 16'],
  ['launches.ts', 'sharedBytes: 24', 'sharedBytes: 28'],
  ['launches.ts', 'stream: 32', 'stream: 28'],
  ['launches.ts', 'count: 48', 'count: 52'],
  ['launches.ts', 'value: 8, bytes: 72', 'value: 4, bytes: 72'],
  ['launches.ts', 'value: 8, bytes: 72', 'value: 8, bytes: 64'],
  ['launches.ts', 'clusterDimension = 4', 'clusterDimension = 5'],
  ['launches.ts', 'programmaticStreamSerialization = 6', 'programmaticStreamSerialization = 7'],
  ['launches.ts', '[1n, 2n, 0n]', '[2n, 1n, 0n]'],
  ['launches.ts', 'memory.subarray((', 'memory.subarray(8 + ('],
  ['launches.ts', 'size[0] = BigInt(parameters.byteLength)', 'size[0] = 8n'],
  [
    'launches.ts',
    'configuration.grid + 4 * axis, grid[axis]!',
    'configuration.grid + 4 * axis, grid[2 - axis]!',
  ],
  ['modules.ts', 'errorLogBytes = 6', 'errorLogBytes = 4'],
  ['modules.ts', '2,\n    Uint32Array', '1,\n    Uint32Array'],
  ['modules.ts', 'maxDynamicSharedBytes = 8', 'maxDynamicSharedBytes = 9'],
  ['modules.ts', 'nonPortableClusters = 14', 'nonPortableClusters = 13'],
  ['open.ts', '[pinned, onDevice] = [1, 1]', '[pinned, onDevice] = [1, 2]'],
  ['open.ts', '[pinned, 0, onDevice, ordinal]', '[pinned, onDevice, 0, ordinal]'],
  ['open.ts', 'releaseThreshold = 4', 'releaseThreshold = 3'],
  ['open.ts', 'address, 0, bytes, stream.handle', 'address, bytes % 256, 0, stream.handle'],
  ['open.ts', 'to, from, bytes, stream.handle', 'from, to, bytes, stream.handle'],
  ['choose-gpu.ts', 'sharedBytes: 97', 'sharedBytes: 8'],
  ['choose-gpu.ts', 'major: 75', 'major: 76'],
  ['streams.ts', 'nonBlocking = 1', 'nonBlocking = 0'],
  ['streams.ts', 'milliseconds, earlier.handle, handle', 'milliseconds, handle, earlier.handle'],
  ['streams.ts', 'notReady = 600', 'notReady = 601'],
  ['graphs.ts', 'threadLocal = 1', 'threadLocal = 0'],
  ['staging.ts', 'part.byteLength, stream', '4 * part.byteLength, stream'],
  ['graphs.ts', 'ready[0]!, stream.handle', 'stream.handle, ready[0]!'],
  ['tensor-maps.ts', 'bf16: 9', 'bf16: 8'],
  ['tensor-maps.ts', '128: 3', '128: 2'],
  ['tensor-maps.ts', '[0, 2, 0]', '[2, 0, 0]'],
  ['tensor-maps.ts', 'Uint32Array.from(box)', 'BigUint64Array.from(box, BigInt)'],
  ['tensor-maps.ts', 'BigUint64Array.from(strides, BigInt)', 'Uint32Array.from(strides)'],
  ['tensor-maps.ts', 'encoded.subarray((', 'encoded.subarray(8 + ('],
];

describe.runIf(missingForStub() === undefined)('faults', () => {
  let world: World;
  let stub: Stub;
  let expected: string;
  beforeAll(async () => {
    stub = buildStub();
    world = await openWorld();
    expected = await outcome(undefined);
    expect(await outcome(undefined)).toBe(expected);
  });
  afterAll(async () => {
    await world.close();
    stub.remove();
  });

  /** What the driver was told, and what came of it. */
  async function outcome(fault: (typeof faults)[number] | undefined): Promise<string> {
    stub.reset();
    const change = fault && { file: `runtime/cuda/driver/${fault[0]}`, from: fault[1], to: fault[2] };
    const { useAll } = await world.module<typeof import('./testing.ts')>(
      'runtime/cuda/driver/testing.ts',
      change,
    );
    const { openGpu } = await world.module<typeof import('./open.ts')>('runtime/cuda/driver/open.ts', change);
    try {
      const device = await openGpu({ environment: { RICCI_CUDA_LIBRARY: stub.path } });
      const refused = messageOf(() => device.load('nonsense'));
      const done = await useAll(device);
      device.release();
      return JSON.stringify([done, refused, device.gpu, stub.noted(), stub.alive()]);
    } catch (error) {
      return String(error);
    }
  }

  test.each(faults)('%s: %s', async (...fault) => {
    expect(await outcome(fault)).not.toBe(expected);
  });
});

function messageOf(attempt: () => unknown): string {
  try {
    attempt();
    return 'nothing';
  } catch (error) {
    return String(error);
  }
}
