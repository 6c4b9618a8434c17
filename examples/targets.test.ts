/** Every example gives the same in kernels as on the reference evaluator, run as a user runs it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runInProcess } from '../cli/testing.ts';
import { packageRoot } from '../driver/package-root.ts';
import { npyBytes } from '../runtime/weights/npy.ts';
import { tensorFromValues } from '../runtime/weights/tensor-data.ts';
import { makeCheckpoint } from './mixtral/make-checkpoint.ts';

interface Example {
  readonly args: readonly string[];
  /** In WebAssembly and as PTX, and where that is said on WebGPU too, of which the driver compiles each kernel. */
  readonly targets: readonly ('wasm' | 'ptx' | 'wgsl')[];
}

/** The arguments that run each entry, by file and name. */
const runs: Readonly<Record<string, Example>> = {
  'attention/attention.ricci causal': { args: ['--size', 'S=67,G=2,R=2,A=16'], targets: ['wasm', 'ptx'] },
  'attention/attention.ricci packed': {
    args: ['--size', 'S=67,G=2,R=3,A=8'],
    targets: ['wasm', 'ptx', 'wgsl'],
  },
  'sequence/sequence.ricci gathered': {
    args: ['--size', 'S=24,G=4,R=2,A=8', '--mesh', 'sp=4'],
    targets: ['wasm', 'ptx'],
  },
  'sequence/sequence.ricci by_heads': {
    args: ['--size', 'S=24,G=4,R=2,A=8', '--mesh', 'sp=4'],
    targets: ['wasm', 'ptx'],
  },
  'sequence/sequence.ricci around': {
    args: ['--size', 'S=24,G=4,R=2,A=8', '--mesh', 'sp=3'],
    targets: ['wasm', 'ptx', 'wgsl'],
  },
  'moe/moe.ricci layer': { args: ['--size', 'T=13,D=32,F=24,E=8,K=3'], targets: ['wasm', 'ptx', 'wgsl'] },
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-targets-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Result {
  readonly outputs: readonly { readonly path: string; readonly values: readonly number[] }[];
}

async function outputOf(file: string, ...args: readonly string[]): Promise<readonly number[]> {
  const { status, stdout } = await runInProcess('run', file, ...args, '--json');
  expect(status, stdout).toBe(0);
  return (JSON.parse(stdout) as Result).outputs.flatMap(({ values }) => values);
}

/** Of two lists, relative to the largest element of the first. */
function distance(wanted: readonly number[], found: readonly number[]): number {
  if (wanted.length !== found.length || wanted.length === 0) return Number.POSITIVE_INFINITY;
  const scale = Math.max(...wanted.map(Math.abs));
  return Math.max(...wanted.map((value, place) => Math.abs(value - (found[place] ?? Number.NaN)))) / scale;
}

test('every exported function of the examples is among the runs', () => {
  const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ricci'),
  );
  const entries = files.flatMap((file) =>
    [...readFileSync(join(import.meta.dirname, file), 'utf8').matchAll(/^export (?:auto )?fn (\w+)/gm)].map(
      ([, name]) => `${file} ${name}`,
    ),
  );
  expect(entries.sort()).toEqual(Object.keys(runs).sort());
});

/** One unit in the last place of bf16, which the results are stored in, of the largest result. */
const bf16Step = 2 ** -8;

test.each(Object.entries(runs))('%s', async (name, { args, targets }) => {
  const [file = '', entry = ''] = name.split(' ');
  const run = (target: string, seed: string) =>
    outputOf(
      join(import.meta.dirname, file),
      ...['--entry', entry, ...args, '--target', target, '--random', seed],
    );
  const reference = await run('reference', '1');
  for (const target of targets)
    expect(distance(reference, await run(target, '1')), target).toBeLessThanOrEqual(bf16Step);
  expect(distance(reference, await run('wasm', '2'))).toBeGreaterThan(0.1);
});

test('the model of the example mixtral, from a checkpoint', async () => {
  const text = readFileSync(join(packageRoot, 'LICENSE'));
  makeCheckpoint(folder, text);
  const tokens = join(folder, 'tokens.npy');
  writeFileSync(tokens, npyBytes(tensorFromValues('i32', [19], text.subarray(0, 19))));
  const run = (target: string) =>
    outputOf(
      join(packageRoot, 'stdlib/mixtral.ricci'),
      ...['--checkpoint', folder, '--input', `tokens=${tokens}`, '--target', target],
    );
  const reference = await run('reference');
  expect(reference).toHaveLength(19 * 256);
  for (const target of ['wasm', 'ptx'])
    expect(distance(reference, await run(target)), target).toBeLessThan(1e-5);
});
