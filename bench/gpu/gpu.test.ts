/** The benchmark of a GPU without one: its cases in the emulator, its way to a GPU as far as a stub goes. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { packageRoot } from '../../driver/package-root.ts';
import { buildStub, missingForStub } from '../../runtime/cuda/driver/testing.ts';
import { type GpuCase, gpuCases } from './cases.ts';

const folder = mkdtempSync(join(tmpdir(), 'ricci-gpu-bench-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a trial without a GPU checks every case and writes its results', () => {
  const { status, stdout, stderr } = spawnSync(
    'python3',
    [join(packageRoot, 'bench/gpu/run.py'), '--here', '--dry', '--output', folder],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const { results } = JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8')) as {
    readonly results: Readonly<Record<string, { readonly wrong: boolean }>>;
  };
  // Cases of one form are the same at small sizes.
  expect(Object.keys(results)).toEqual(
    gpuCases.filter((each, place) => gpuCases.findIndex(isLike(each)) === place).map(({ name }) => name),
  );
  expect(Object.values(results).filter(({ wrong }) => wrong)).toEqual([]);
  const table = readFileSync(join(folder, 'results.md'), 'utf8');
  for (const name of Object.keys(results))
    expect(table).toMatch(new RegExp(`^\\| ${name} .*\\| ok \\|$`, 'm'));
  expect(stdout).toContain('| causal_8k |');
});

test.each([
  [[], /^error: there is no ricci\.tar\.xz beside run\.py: npm run bench:gpu:pack/],
  [['--here', '--dry', '--cases', 'matmul'], /^error: --cases matmul: there are .*linear_4096/],
])('what is missing is told: %j', (words, said) => {
  const run = spawnSync('python3', [join(packageRoot, 'bench/gpu/run.py'), ...words, '--output', folder], {
    encoding: 'utf8',
  });
  expect(run.stderr).toMatch(said);
  expect(run.stderr.trimEnd()).not.toContain('\n');
  expect(run.status).toBe(2);
});

function isLike(one: GpuCase): (other: GpuCase) => boolean {
  const form = ({ entry, small, allowed = [] }: GpuCase) => JSON.stringify([entry, small, allowed]);
  return (other) => form(other) === form(one);
}

test.runIf(missingForStub() === undefined)('what is not computed is wrong, and is timed', () => {
  const stub = buildStub();
  const request = JSON.stringify({ what: 'run', name: 'linear_4096' });
  const { stdout } = spawnSync('node', [join(packageRoot, 'dist/bench/gpu/worker.js'), '--small'], {
    ...{ input: `${request}\n`, encoding: 'utf8' },
    env: { ...process.env, RICCI_CUDA_LIBRARY: stub.path },
  });
  stub.remove();
  const answer = JSON.parse(stdout) as object;
  // Every output is as it was poisoned; a distance from NaN is infinite, which JSON has not.
  expect(answer).toMatchObject({ copies: 2, launches: 1, distance: null, seconds: { runs: 294 } });
});

test('small programs are tried in processes of their own, for as long as there is time', () => {
  const script = join(packageRoot, 'dist/bench/gpu/programs.js');
  const words = ['ptx', '--emulator', '--file', 'experts.ricci', '--seconds', '1', '--processes', '1'];
  const { status, stdout, stderr } = spawnSync('node', [script, ...words], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toMatch(
    /in all processes together: compiling .*running .*\n\d+ passed, 0 failed, \d+ not begun;/,
  );
});
