/**
 * NVIDIA's assembler, where it is installed: what each kernel takes of a multiprocessor, by the lines that
 * `ptxas -v` prints (CUDA Binary Utilities; the same form from 11 to 13).
 */
import { execFile } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { PtxTarget } from '../../compiler/tiles/ptx-target.ts';

/** What a kernel takes, of each thread or of a block. */
export interface KernelResources {
  /** The name of its entry. */
  readonly kernel: string;
  /** Of a thread. */
  readonly registers: number;
  /** Bytes of a thread that found no register, written and read again: loss. */
  readonly spillStores: number;
  readonly spillLoads: number;
  /** Bytes of a thread in local memory, spilled ones among them. */
  readonly stackBytes: number;
  /** Of a block, without what the launch adds. */
  readonly sharedBytes: number;
  readonly barriers: number;
}

export interface Assembly {
  readonly kernels: readonly KernelResources[];
  /**
   * Warnings, and whatever has a number (C7508 … C7520: products that wait for each other, register counts
   * that are ignored), each in the words of ptxas.
   */
  readonly warnings: readonly string[];
}

/** ptxas does not take the text. The message is its own words. */
export class PtxasRefusal extends Error {}

/** The file to run, from `CUDA_HOME` or else the `PATH`; undefined where there is none. */
export function findPtxas(environment: NodeJS.ProcessEnv): string | undefined {
  const home = environment.CUDA_HOME;
  const folders = [
    ...(home === undefined || home === '' ? [] : [join(home, 'bin')]),
    ...(environment.PATH ?? '').split(delimiter).filter((folder) => folder !== ''),
  ];
  return folders.map((folder) => join(folder, 'ptxas')).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @throws PtxasRefusal when the text is no PTX for the target, or is newer than this ptxas. */
export async function assemble(ptxas: string, target: PtxTarget, text: string): Promise<Assembly> {
  const folder = mkdtempSync(join(tmpdir(), 'ricci-ptxas-'));
  try {
    const path = join(folder, 'module.ptx');
    writeFileSync(path, text);
    const options = ['-v', `-arch=${target}`, path, '-o', join(folder, 'module.cubin')];
    const { stdout, stderr } = await promisify(execFile)(ptxas, options, { maxBuffer: 2 ** 28 });
    return readAssembly(stdout + stderr);
  } catch (error) {
    throw isFailedRun(error) ? new PtxasRefusal(refusal(error.stdout + error.stderr, folder)) : error;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface FailedRun extends Error {
  readonly stdout: string;
  readonly stderr: string;
}

function isFailedRun(error: unknown): error is FailedRun {
  return error instanceof Error && 'stderr' in error && typeof error.stderr === 'string';
}

/** The lines that say what is wrong, without where the copy lay. */
function refusal(said: string, folder: string): string {
  const lines = said.split('\n').filter((line) => /\b(error|fatal)\b/.test(line));
  return (lines.length === 0 ? said : lines.join('\n')).replaceAll(`${folder}/`, '').trim();
}

/** What `ptxas -v` said of a module. */
export function readAssembly(said: string): Assembly {
  const [, ...parts] = said.split(/^ptxas info\s*: Compiling entry function '/m);
  const lines = said.split('\n').map((line) => line.trim());
  return {
    kernels: parts.map(readKernel),
    warnings: [...new Set(lines.filter((line) => /\bwarning\b|\(C\d{4}\)/.test(line)))],
  };
}

function readKernel(text: string): KernelResources {
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  return {
    kernel: text.slice(0, text.indexOf("'")),
    registers: number(/Used (\d+) registers/),
    spillStores: number(/(\d+) bytes spill stores/),
    spillLoads: number(/(\d+) bytes spill loads/),
    stackBytes: number(/(\d+) bytes stack frame/),
    sharedBytes: number(/(\d+) bytes smem/),
    barriers: number(/used (\d+) barriers/),
  };
}
