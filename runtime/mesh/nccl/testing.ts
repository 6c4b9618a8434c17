/** Tests' way to NCCL without GPUs: `stub/nccl.c`, built beside the stub of the CUDA driver. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface NcclStub {
  /** The library, and where it is. */
  readonly path: string;
  readonly folder: string;
  /** The next call of the function gives the code. */
  readonly fail: (name: string, code: number) => void;
  readonly setVersion: (version: number) => void;
  readonly remove: () => void;
}

export function buildNcclStub(): NcclStub {
  const folder = mkdtempSync(join(tmpdir(), 'ricci-nccl-stub-'));
  const path = join(folder, 'libnccl-stub.so');
  const source = join(import.meta.dirname, 'stub/nccl.c');
  const options = ['-shared', '-fPIC', '-Wall', '-Werror', '-o', path, source, '-lrt', '-ldl'];
  const { status, stderr } = spawnSync('cc', options, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the stub is not built: ${stderr}`);
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi').default;
  const library = koffi.load(path);
  return {
    ...{ path, folder },
    fail: library.func('void stub_fail(const char *, int)'),
    setVersion: library.func('void stub_version(int)'),
    remove: () => rmSync(folder, { recursive: true }),
  };
}
