/** Tests' way to a driver without a GPU: `stub/cuda.c`, built where a C compiler and NVIDIA's header are. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LibraryHandle } from 'koffi';
import type { DriverDevice } from './open.ts';

export interface Stub {
  /** The library. */
  readonly path: string;
  /** What the driver was told since, a line each. */
  readonly noted: () => string;
  /** What is alive, by kind; empty when nothing is. */
  readonly alive: () => string;
  /** The next call of the function, or one `after` more of them, gives the code. */
  readonly fail: (name: string, code: number, after?: number) => void;
  readonly machine: (machine: Partial<Machine>) => void;
  /** As at first. */
  readonly reset: () => void;
  readonly remove: () => void;
}

interface Machine {
  readonly version: number;
  readonly devices: number;
  /** Compute capability. */
  readonly major: number;
  readonly minor: number;
  readonly pools: number;
}

const usual: Machine = { version: 13_000, devices: 1, major: 9, minor: 0, pools: 1 };

/** Folders in which NVIDIA's headers may be. */
function includeFolder(): string | undefined {
  const homes = [process.env.CUDA_HOME, '/usr/local/cuda', '/opt/cuda', '/usr'];
  return homes
    .flatMap((home) => (home === undefined || home === '' ? [] : [join(home, 'include')]))
    .find((folder) => existsSync(join(folder, 'cuda.h')));
}

/** What is missing to build the stub; undefined when nothing is. */
export function missingForStub(): string | undefined {
  if (spawnSync('cc', ['--version']).status !== 0) return 'no C compiler (cc) on the PATH';
  if (includeFolder() === undefined)
    return "no cuda.h in CUDA_HOME or /usr/local/cuda: install NVIDIA's toolkit";
  return undefined;
}

export function buildStub(): Stub {
  const folder = mkdtempSync(join(tmpdir(), 'ricci-cuda-stub-'));
  const path = join(folder, 'libcuda-stub.so');
  const source = join(import.meta.dirname, 'stub/cuda.c');
  const options = ['-shared', '-fPIC', '-Wall', '-Werror', '-I', includeFolder()!, '-o', path, source];
  const { status, stderr } = spawnSync('cc', options, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the stub is not built: ${stderr}`);
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi').default;
  return stubOf(koffi.load(path), path, () => rmSync(folder, { recursive: true }));
}

function stubOf(library: LibraryHandle, path: string, remove: () => void): Stub {
  const machine = library.func('void stub_machine(int, int, int, int, int)');
  const fail = library.func('void stub_fail(const char *, int, int)');
  return {
    ...{ path, remove },
    noted: library.func('const char *stub_noted()'),
    alive: library.func('const char *stub_alive()'),
    reset: library.func('void stub_reset()'),
    fail: (name, code, after = 0) => fail(name, code, after),
    machine: (given) => {
      const { version, devices, major, minor, pools } = { ...usual, ...given };
      machine(version, devices, major, minor, pools);
    },
  };
}

/** A module with the kernels that the stub runs. */
export const modulePtx = ['fill', 'show_map', 'faulting']
  .map((name) => `.visible .entry ${name}() { ret; }`)
  .join('\n')
  .replace(/^/, '.version 8.0\n.target sm_90a\n.address_size 64\n');

/** The parameters of `fill`: `count` words of `value` from an address on. */
export function fillParameters(address: bigint, count: number, value: number): Uint8Array {
  const packed = new DataView(new ArrayBuffer(16));
  packed.setBigUint64(0, address, true);
  packed.setUint32(8, count, true);
  packed.setUint32(12, value, true);
  return new Uint8Array(packed.buffer);
}

/** Something of everything that the driver is asked for; what came of it. */
export async function useAll(device: DriverDevice): Promise<Readonly<Record<string, unknown>>> {
  const words = async (address: bigint, count: number) => [
    ...new Uint32Array((await device.read(address, 4 * count)).buffer),
  ];
  const module = device.load(modulePtx);
  const fill = module.kernel('fill');
  const shape = { grid: [2, 3, 5], block: [32, 2, 1], sharedBytes: 0 } as const;
  const buffer = device.allocate(4000);
  device.write(buffer, new Uint8Array(4000).fill(1));
  device.clear(buffer + 8n, 8);
  fill.launch(shape, fillParameters(buffer + 16n, 2, 7));
  device.copy(buffer, buffer + 32n, 24);
  const written = await words(buffer, 16);

  const map = device.tensorMap({
    ...{ address: buffer + 16n, dtype: 'bf16', shape: [72, 24, 2], strides: [160, 3840], box: [64, 8, 1] },
    swizzle: 128,
  });
  const parameters = new Uint8Array(136);
  parameters.set(map);
  new DataView(parameters.buffer).setBigUint64(128, buffer, true);
  const large = { ...shape, sharedBytes: 100_000, cluster: [2, 4, 2], dependent: true } as const;
  module.kernel('show_map').launch(large, parameters);
  const shown = await device.read(buffer, 128);

  const graph = device.capture(() => {
    device.clear(buffer, 16);
    fill.launch(shape, fillParameters(buffer, 1, 5));
  });
  const before = await words(buffer, 1);
  const milliseconds = 1000 * (await device.time(graph.launch));
  const after = await words(buffer, 2);
  graph.destroy();

  const side = device.newStream();
  const event = device.newEvent();
  event.record(side);
  device.stream.waitFor(event);
  await device.synchronize();
  device.free(buffer);
  module.unload();
  return {
    ...{ written, milliseconds, after },
    isAsEncoded: Buffer.from(shown).equals(Buffer.from(map)),
    isRecorded: before[0] !== 5,
  };
}
