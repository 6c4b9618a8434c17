/** The CUDA driver as a C library sees the calls: against a stub that is built from NVIDIA's header. */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { isUserError } from '../../errors.ts';
import { openCudaDevice } from '../open-device.ts';
import { openGpu } from './open.ts';
import { buildStub, fillParameters, missingForStub, modulePtx, type Stub, useAll } from './testing.ts';

const missing = missingForStub();

test('the stub can be built', ({ skip }) => {
  if (missing !== undefined && process.env.CI === undefined) skip(missing);
  expect(missing).toBeUndefined();
});

describe.runIf(missing === undefined)('against a stub', () => {
  let stub: Stub;
  beforeAll(() => {
    stub = buildStub();
  });
  afterEach(() => stub.reset());
  afterAll(() => stub.remove());
  const open = (more = {}) => openGpu({ environment: { RICCI_CUDA_LIBRARY: stub.path, ...more } });
  const shape = { grid: [1, 1, 1], block: [32, 1, 1], sharedBytes: 0 } as const;

  test('what a GPU is', async () => {
    const device = await open();
    expect(device).toMatchObject({ name: 'Stub 0 (compute capability 9.0)', target: 'sm_90a' });
    expect(device.gpu).toMatchObject({ multiprocessors: 132, l2Bytes: 60 * 2 ** 20, sharedBytes: 232_448 });
    device.release();
  });

  test.each([
    [8, 0, 'sm_80'],
    [8, 9, 'sm_80'],
    [9, 0, 'sm_90a'],
    [10, 0, 'sm_80'],
    [12, 1, 'sm_80'],
  ] as const)('what %d.%d runs', async (major, minor, target) => {
    stub.machine({ major, minor });
    const device = await open();
    expect(device.target).toBe(target);
    device.release();
  });

  test.each([
    ['LOCAL_RANK', '1', 1],
    ['OMPI_COMM_WORLD_LOCAL_RANK', '3', 0],
    ['MPI_LOCALRANKID', '4', 1],
    ['SLURM_LOCALID', '5', 2],
    ['LOCAL_RANK', 'x', 0],
  ] as const)('processes take GPUs in turn: %s=%s', async (variable, value, ordinal) => {
    stub.machine({ devices: 3 });
    const device = await open({ [variable]: value });
    expect(device.gpu).toMatchObject({ ordinal, name: `Stub ${ordinal}` });
    device.release();
  });

  test('PTX runs on the GPU where there is one, else in the emulator, which is said', async () => {
    const said: string[] = [];
    const report = (line: string) => said.push(line);
    for (const [library, expected] of [
      [stub.path, /^Stub 0/],
      ['none', /emulator/],
    ] as const) {
      vi.stubEnv('RICCI_CUDA_LIBRARY', library);
      const device = await openCudaDevice(report);
      expect(device.name).toMatch(expected);
      device.release();
    }
    vi.unstubAllEnvs();
    expect(said).toEqual(['RICCI_CUDA_LIBRARY=none: running in the emulator, on the processor']);
  });

  test('work is done in order, and the driver is told what was meant', async () => {
    const device = await open();
    const { written, milliseconds, ...rest } = await useAll(device);
    const ones = 0x01010101;
    expect(written).toEqual([ones, ones, 0, 0, 7, 7, ones, ones, ones, ones, 0, 0, 7, 7, ones, ones]);
    expect(rest).toEqual({ isAsEncoded: true, isRecorded: true, after: [5, 0] });
    expect(milliseconds).toBeCloseTo(3, 6);
    expect(stub.noted().split('\n')).toEqual([
      'pool of device 0, 88 bytes of properties',
      'pool keeps 18446744073709551615',
      `a module of ${modulePtx.length} characters`,
      'fill<<<(2, 3, 5), (32, 2, 1), 0>>> 16 bytes',
      'a map of 128 bytes, type 9, (72 by 64 every 160, 24 by 8 every 3840, 2 by 1), swizzle 3, promotion 2',
      'show_map: attribute 8 is 100000',
      'show_map: attribute 14 is 1',
      'show_map<<<(2, 3, 5), (32, 2, 1), 100000>>> 136 bytes, cluster (2, 4, 2), dependent 1',
      'fill<<<(2, 3, 5), (32, 2, 1), 0>>> 16 bytes',
      'a graph of 2',
      'a stream waits for an event',
      '',
    ]);
    device.release();
    expect(stub.alive()).toBe('');
  });

  test('long tensors go through the pieces of pinned memory', async () => {
    const device = await open();
    const bytes = new Uint8Array(5 * 8 * 2 ** 20 + 12_345);
    for (let at = 0; at < bytes.length; at += 997) bytes[at] = at % 251;
    const address = device.allocate(bytes.length);
    device.write(address, bytes);
    const reading = device.read(address, bytes.length);
    device.clear(address, bytes.length);
    expect(Buffer.from(await reading).equals(bytes)).toBe(true);
    expect(Buffer.from(await device.read(address, 1000)).every((byte) => byte === 0)).toBe(true);
    expect(await device.read(address, 0)).toHaveLength(0);
    device.release();
    expect(stub.alive()).toBe('');
  });

  test('all that is left is given back, in any order', async () => {
    const device = await open();
    device.load(modulePtx).kernel('fill');
    device.allocate(0);
    const address = device.allocate(10);
    device.newStream();
    device.newEvent();
    device.capture(() => device.clear(address, 4));
    device.write(address, new Uint8Array(10));
    await device.read(address, 10);
    device.release();
    device.release();
    expect(stub.alive()).toBe('');
  });

  test('a recording that throws ends, and the device goes on', async () => {
    const device = await open();
    const address = device.allocate(4);
    expect(() =>
      device.capture(() => {
        device.clear(address, 4);
        throw new Error('not now');
      }),
    ).toThrow('not now');
    device.clear(address, 4);
    expect([...(await device.read(address, 4))]).toEqual([0, 0, 0, 0]);
    device.release();
    expect(stub.alive()).toBe('');
  });

  describe('what is wrong is told once, with what to do', () => {
    test.each<[string, () => void, RegExp]>([
      [
        'a driver too old',
        () => stub.machine({ version: 11_040 }),
        /no-device.*has CUDA 11\.4, and 12\.0.*525/s,
      ],
      [
        'no GPU',
        () => stub.machine({ devices: 0 }),
        /no-device.*CUDA_ERROR_NO_DEVICE \(no CUDA-capable.*nvidia-smi/s,
      ],
      ['no GPU, at once', () => stub.fail('cuInit', 100), /no-device.*CUDA_ERROR_NO_DEVICE.*in cuInit/s],
      [
        'drivers that do not match',
        () => stub.fail('cuInit', 803),
        /no-device.*SYSTEM_DRIVER_MISMATCH.*started again/s,
      ],
      [
        'an old GPU',
        () => stub.machine({ major: 7, minor: 5 }),
        /no-device.*7\.5.*written for 8\.0.*--target wgsl/s,
      ],
      ['no pools', () => stub.machine({ pools: 0 }), /no-device.*has no memory pools/s],
      [
        'a GPU in use',
        () => stub.fail('cuDevicePrimaryCtxRetain', 46),
        /no-device.*another process has.*compute mode/s,
      ],
      [
        'no memory at all',
        () => stub.fail('cuDevicePrimaryCtxRetain', 2),
        /out-of-memory.*CUDA_ERROR_OUT_OF_MEMORY/s,
      ],
      ['no memory for a pool', () => stub.fail('cuMemPoolCreate', 2), /out-of-memory.*in cuMemPoolCreate/s],
    ])('%s', async (_, arrange, expected) => {
      arrange();
      expect(await saidOf(open())).toMatch(expected);
      expect(stub.alive()).toBe('');
    });

    test.each(['libm.so.6', '/nowhere/libcuda.so.1'])('a library that is no driver: %s', async (library) => {
      const opening = openGpu({ environment: { RICCI_CUDA_LIBRARY: library } });
      expect(await saidOf(opening)).toMatch(/no-device.*RICCI_CUDA_LIBRARY cannot be used.*unset/s);
    });

    const after: readonly [string, RegExp, (device: Awaited<ReturnType<typeof open>>) => unknown][] = [
      [
        'more memory than there is',
        /out-of-memory.*OUT_OF_MEMORY.*5 GiB were asked for, and 3 GiB of 141 GiB are free.*smaller/s,
        (device) => {
          stub.fail('cuMemAllocFromPoolAsync', 2);
          device.allocate(5 * 2 ** 30);
        },
      ],
      [
        'PTX that is none',
        /device-refused.*CUDA_ERROR_INVALID_PTX.*PTX 8\.0 for sm_90a, on CUDA 13\.0.*line 4.*Parsing error near/s,
        (device) => device.load(`${modulePtx}\nnonsense`),
      ],
      [
        'PTX that is too new',
        /device-refused.*CUDA_ERROR_UNSUPPORTED_PTX_VERSION.*PTX 8\.0.*install a newer driver/s,
        (device) => {
          stub.fail('cuModuleLoadDataEx', 222);
          device.load(modulePtx);
        },
      ],
      [
        'more shared memory than a block has',
        /exceeds-device.*fill needs 300000 bytes of shared memory, and a block of Stub 0 has 232448/s,
        (device) =>
          device
            .load(modulePtx)
            .kernel('fill')
            .launch({ ...shape, sharedBytes: 3e5 }, new Uint8Array(16)),
      ],
      [
        'a cluster that does not fit',
        /exceeds-device.*CUDA_ERROR_INVALID_CLUSTER_SIZE/s,
        (device) =>
          device
            .load(modulePtx)
            .kernel('fill')
            .launch({ ...shape, cluster: [4, 4, 2] }, new Uint8Array(16)),
      ],
      [
        'a kernel that faults, where it is waited for',
        /kernel-fault.*CUDA_ERROR_ILLEGAL_ADDRESS \(an illegal.*in one of fill, faulting.*emulator, which names/s,
        async (device) => {
          const module = device.load(modulePtx);
          module.kernel('fill').launch(shape, fillParameters(device.allocate(4), 1, 1));
          module.kernel('faulting').launch(shape, new Uint8Array(0));
          await device.synchronize();
        },
      ],
      [
        'a kernel that faults, where something else comes next',
        /kernel-fault.*CUDA_ERROR_ILLEGAL_ADDRESS.*in cuMemsetD8Async: in faulting/s,
        async (device) => {
          const address = device.allocate(4);
          device.load(modulePtx).kernel('faulting').launch(shape, new Uint8Array(0));
          device.clear(address, 4);
        },
      ],
      [
        'a GPU that is lost',
        /device-lost.*CUDA_ERROR_ECC_UNCORRECTABLE.*Xid/s,
        async (device) => {
          stub.fail('cuStreamQuery', 214);
          await device.synchronize();
        },
      ],
      [
        'what is a fault of this program',
        /^Error: CUDA_ERROR_NOT_FOUND \(named symbol not found\) in cuModuleGetFunction/,
        (device) => device.load(modulePtx).kernel('elsewhere'),
      ],
      [
        'memory that was given back',
        /^Error: nothing is allocated at/,
        (device) => {
          const address = device.allocate(4);
          device.free(address);
          device.free(address);
        },
      ],
    ];
    test.each(after)('%s', async (_, expected, perform) => {
      const device = await open();
      expect(await saidOf((async () => perform(device))())).toMatch(expected);
      device.release();
      expect(stub.alive()).toBe('');
    });
  });

  test('whatever fails, nothing is left', async () => {
    const functions = ['cuMemAllocHost_v2', 'cuEventCreate', 'cuStreamCreate', 'cuGraphInstantiateWithFlags'];
    for (const name of [...functions, 'cuStreamEndCapture', 'cuLaunchKernelEx', 'cuEventQuery'])
      for (const times of [0, 1, 2]) {
        stub.reset();
        stub.fail(name, 2, times);
        const device = await open().catch(() => undefined);
        await (device && useAll(device).catch(() => {}));
        device?.release();
        expect(`${name} ${times}: ${stub.alive()}`).toBe(`${name} ${times}: `);
      }
  });
});

async function saidOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return 'nothing';
  } catch (error) {
    return isUserError(error) ? `${error.code}: ${error.message}; ${error.help}` : String(error);
  }
}
