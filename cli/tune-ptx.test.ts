/** `ricci tune --target ptx` and what it measured: against a stub of the driver, which computes nothing. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { buildStub, missingForStub, type Stub } from '../runtime/cuda/driver/testing.ts';
import { runInProcess } from './testing.ts';

// More than the evaluator is asked for: the first choice is taken to be right.
const source = `
export fn layer(x: bf16[M, K], w: bf16[N, K]) -> bf16[M, N] = for m, n: sum k: x[m, k] * w[n, k]
`;
/** Of which what is stored is not as the program has it, and of several nodes that are one problem. */
const forms = `
import attention
export fn attended(q: bf16[S, G * R, A], k: bf16[S, G, A], v: bf16[S, G, A]) -> bf16[S, G * R, A] =
  attention.causal(q, k, v)
export fn weighed(x: bf16[N, M]) -> bf16[N, M] = for n: softmax(x[n])
`;
const sizes = ['--size', 'M=128,N=1024,K=4096'];
const title = 'contraction out 128 × 1024 over 4096';
const other = 'units warpRows=4 warpColumns=1 rows=16 columns=64 depth=32 stages=3 cluster=1';

let [folder, file, tuned] = ['', '', ''];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-tune-ptx-'));
  file = join(folder, 'layer.ricci');
  tuned = join(folder, 'tuned.json');
  writeFileSync(file, source);
  vi.stubEnv('RICCI_CACHE', join(folder, 'cache'));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const shown = (...more: readonly string[]) =>
  runInProcess('compile', file, ...sizes, '--target', 'ptx', '--show', 'schedule', ...more);

test('without a GPU nothing is measured, and nothing was', async () => {
  vi.stubEnv('RICCI_CUDA_LIBRARY', 'none');
  const tuning = await runInProcess('tune', file, ...sizes, '--target', 'ptx');
  expect(tuning).toMatchObject({ status: 1, stdout: '' });
  expect(tuning.stderr).toMatch(/^error: .*how fast PTX is only a GPU tells.*\n.*help: tune on a machine/);
  const compiled = await shown('--tuning', 'auto');
  expect(compiled).toMatchObject({ status: 1, stdout: '' });
  expect(compiled.stderr.match(/error/g)).toHaveLength(1);
});

describe.runIf(missingForStub() === undefined)('on a GPU', () => {
  let stub: Stub;
  beforeAll(async () => {
    stub = buildStub();
    vi.stubEnv('RICCI_CUDA_LIBRARY', stub.path);
    const tune = ['tune', file, ...sizes, '--target', 'ptx', '--budget', '0.1', '-o', tuned];
    const { status, stdout } = await runInProcess(...tune);
    expect(status).toBe(0);
    // Of a run, as the stub has it, where all take the same.
    expect(stdout).toMatch(new RegExp(`${title} +1.500 +1.500 +1.00 .* units warpRows=`));
    expect(stub.alive()).toBe('');
  }, 60_000);
  afterAll(() => stub.remove());

  test('what is kept is of the GPU, its driver and its target', () => {
    const { device, problems } = JSON.parse(readFileSync(tuned, 'utf8')) as {
      readonly device: object;
      readonly problems: readonly object[];
    };
    expect(device).toMatchObject({ target: 'ptx', arch: 'sm_90a', name: 'Stub 0', driver: 'CUDA 13.0' });
    expect(problems).toHaveLength(1);
  });

  test.each([
    {
      entry: 'attended',
      sizes: 'S=64,G=32,R=4,A=16',
      other: 'unitStream warps=4 rows=16 block=16 stages=3',
      title: 'attention out 64 × 32 × 4 × 16 over 64',
    },
    {
      entry: 'weighed',
      sizes: 'N=4096,M=2048',
      other: 'rows threadRows=1 threadColumns=64 results=1 vector=8 vectors=4',
      title: 'rows out 4096 × 2048',
    },
  ])('choices for $entry are found for what is compiled', async ({ entry, sizes, other, title }) => {
    const [path, found] = [join(folder, 'forms.ricci'), join(folder, `${entry}.json`)];
    writeFileSync(path, forms);
    const common = [path, '--entry', entry, '--size', sizes, '--target', 'ptx'];
    expect((await runInProcess('tune', ...common, '--budget', '0.05', '-o', found)).status).toBe(0);
    const value = JSON.parse(readFileSync(found, 'utf8')) as { problems: { choice: string }[] };
    // Beside what is kept of other programs.
    const own = value.problems.at(-1)!;
    const compile = ['compile', ...common, '--arch', 'sm_90a', '--show', 'schedule', '--tuning', found];
    expect((await runInProcess(...compile)).stdout).toBe(`${title}: ${own.choice}\n`);
    own.choice = other;
    writeFileSync(found, JSON.stringify(value));
    expect((await runInProcess(...compile)).stdout).toBe(`${title}: ${other}\n`);
  });

  test('a package has the choices of the file that it is told, for the target of the file', async () => {
    const value = JSON.parse(readFileSync(tuned, 'utf8')) as { problems: { choice: string }[] };
    const [first] = value.problems as [{ choice: string }];
    const hopper = (await shown('--arch', 'sm_90a')).stdout;
    expect(hopper).toContain(first.choice);
    first.choice = other;
    writeFileSync(tuned, JSON.stringify(value));
    expect(await shown('--arch', 'sm_90a', '--tuning', tuned)).toMatchObject({
      stdout: `${title}: ${other}\n`,
      stderr: '',
    });
    const ampere = await shown('--tuning', tuned);
    expect(ampere.stderr).toContain('measured on another device, whose arch was sm_90a, and is sm_80');
    // What was kept has the first choice.
    expect(await shown('--arch', 'sm_90a', '--tuning', 'auto')).toMatchObject({ stdout: hopper, stderr: '' });
  });
});
