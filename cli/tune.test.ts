/** `ricci tune` keeps what it measures; what is kept is used where it may be, and never makes a run fail. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runInProcess } from './testing.ts';

const source = `
export fn layer(x: f32[T, D], w: f32[D, F]) -> f32[T, F] =
  for t, f: relu(sum d: x[t, d] * w[d, f])
`;
const sizes = ['--size', 'T=4,D=8,F=16', '--target', 'wasm'];
const tune = ['tune', '--budget', '0.5'];

let [folder, cache, file, tuned] = ['', '', '', ''];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-tune-'));
  [cache, file, tuned] = ['cache', 'layer.ricci', 'tuned.json'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(file, source);
  vi.stubEnv('RICCI_CACHE', cache);
  const { status, stdout } = await runInProcess(...tune, file, ...sizes, '-o', tuned);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^problem .*\ncontraction relu 4 × 16 over 8 .*\n(.*\n)?1 problem known of /);
  // What a busy machine hides is not measured.
  for (const path of [kept(), tuned]) edit(path, (known) => ({ ...known, rates }));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function kept(): string {
  return join(cache, readdirSync(cache)[0]!);
}

const rates = Object.fromEntries(
  ['invocations', 'arithmetic', 'load', 'shared', 'broadcast', 'barrier', 'workgroup', 'kernel'].map(
    (name) => [name, 2],
  ),
);

interface File {
  readonly problems: { choice: string }[];
  readonly rates?: object;
}

function edit(path: string, change: (file: File) => object): void {
  const file = change(JSON.parse(readFileSync(path, 'utf8')) as File);
  writeFileSync(path, `${JSON.stringify(file, undefined, 2)}\n`);
}

/** The choice that a file has, replaced by one that is not the first. */
function withChoice(path: string, choice: string): void {
  const value = JSON.parse(readFileSync(path, 'utf8')) as { problems: { choice: string }[] };
  value.problems[0]!.choice = choice;
  writeFileSync(path, JSON.stringify(value));
}

const shown = async (...more: readonly string[]) =>
  (await runInProcess('compile', file, ...sizes, '--show', 'schedule', ...more)).stdout;

const other = 'rows threadRows=1 threadColumns=1 results=4 vector=4 vectors=1';

test('what was measured is not measured again', async () => {
  const before = readFileSync(kept(), 'utf8');
  const { stdout } = await runInProcess(...tune, file, ...sizes);
  expect(stdout).toMatch(/^8\.0e-9 GFLOP\/s of multiply-adds, 2\.0 at once; .*\n1 problem known of /);
  expect(readFileSync(kept(), 'utf8')).toBe(before);
});

test('a package has what it is told to have, and nothing else', async () => {
  const plain = await shown();
  withChoice(kept(), other);
  withChoice(tuned, other);
  expect(await shown()).toBe(plain);
  expect(await shown('--tuning', 'auto')).toBe(`contraction relu 4 × 16 over 8: ${other}\n`);
  expect(await shown('--tuning', tuned)).toBe(`contraction relu 4 × 16 over 8: ${other}\n`);
});

test('a choice that the device cannot run is passed over', async () => {
  withChoice(tuned, 'rows threadRows=1 threadColumns=64 results=4 vector=1 vectors=1');
  expect(await shown('--tuning', tuned)).toBe(await shown());
});

test('a file that is none is one error that says where', async () => {
  const wrongs: readonly [string, RegExp][] = [
    ['{"format": "ricci-tuning"', /is no JSON: .*position/],
    ['{"format": "ricci-tuning", "version": 2, "device": {}, "problems": []}', /no tuning file at version: /],
    [readFileSync(tuned, 'utf8').replace(/"load": ?[^,]*/, '"load": 0'), /at rates\.load: /],
    [readFileSync(tuned, 'utf8').replace('"rows ', '"heap '), /at problems\.0\.choice: no choice of a sch/],
  ];
  for (const [text, said] of wrongs) {
    writeFileSync(tuned, text);
    const { status, stderr } = await runInProcess(
      'compile',
      file,
      ...sizes,
      '--show',
      'plan',
      '--tuning',
      tuned,
    );
    expect(status).toBe(1);
    expect(stderr).toMatch(said);
    expect(stderr.match(/error/g)).toHaveLength(1);
  }
});

test('what is of another target is refused', async () => {
  writeFileSync(
    tuned,
    JSON.stringify({ ...JSON.parse(readFileSync(kept(), 'utf8')), device: { target: 'wgsl' } }),
  );
  const { status, stderr } = await runInProcess('run', file, ...sizes, '--random', '1', '--tuning', tuned);
  expect(status).toBe(1);
  expect(stderr).toContain('was measured for the target wgsl, not for wasm');
});

test('what is kept of another driver, or damaged, is not used, and a run says so in a line', async () => {
  const run = () => runInProcess('run', file, ...sizes, '--random', '1');
  const wanted = await run();
  expect(wanted).toMatchObject({ status: 0, stderr: '' });
  const good = JSON.parse(readFileSync(kept(), 'utf8')) as { device: object };
  const bad = [
    JSON.stringify({ ...good, device: { ...good.device, engine: 'V8 1.0' } }),
    JSON.stringify({ ...good, device: { ...good.device, features: '', lost: 'relaxed-simd' } }),
    JSON.stringify(good).slice(0, -9),
    '',
    '[]',
  ];
  for (const text of bad) {
    writeFileSync(kept(), text);
    const found = await run();
    expect(found).toMatchObject({ status: 0, stdout: wanted.stdout });
    expect(found.stderr).toMatch(/^schedules are chosen as if none were measured: .*\n$/);
  }
  expect((await runInProcess('run', file, ...sizes, '--random', '1', '--tuning', 'none')).stderr).toBe('');
});

test('what is kept is whole, whatever was there', async () => {
  const { status, stderr } = await runInProcess(...tune, file, ...sizes);
  expect(status).toBe(0);
  expect(stderr).toContain('run ricci tune to measure them again');
  expect(JSON.parse(readFileSync(kept(), 'utf8'))).toMatchObject({ format: 'ricci-tuning' });
  expect(existsSync(kept())).toBe(true);
});
