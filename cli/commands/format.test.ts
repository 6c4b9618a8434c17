/** `ricci fmt` as a user calls it, and the shipped sources, which it leaves as they are. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packageRoot } from '../../driver/package-root.ts';
import { runInProcess } from '../testing.ts';

const untidy = '// A file.\nfn  f( x:f32[N] )->f32[N]=x+1 // one more';
const tidy = '// A file.\nfn f(x: f32[N]) -> f32[N] = x + 1 // one more\n';
const wrong = 'fn f(x: f32) -> f32 = +';

let folder: string;
const at = (name: string) => join(folder, name);
const read = (name: string) => readFileSync(at(name), 'utf8');
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-format-'));
  mkdirSync(at('inner'));
  writeFileSync(at('untidy.ricci'), untidy);
  writeFileSync(at('inner/tidy.ricci'), tidy);
  writeFileSync(at('wrong.ricci'), wrong);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('files', () => {
  test('are written in place, and said', async () => {
    const result = await runInProcess('fmt', at('untidy.ricci'), at('inner/tidy.ricci'));
    expect(result).toEqual({ status: 0, stdout: `${at('untidy.ricci')}: formatted\n`, stderr: '' });
    expect(read('untidy.ricci')).toBe(tidy);
    expect(await runInProcess('fmt', '--check', at('untidy.ricci'))).toMatchObject({ status: 0, stdout: '' });
    expect(readdirSync(folder).sort()).toEqual(['inner', 'untidy.ricci', 'wrong.ricci']);
  });

  test('are only looked at with --check', async () => {
    const result = await runInProcess('fmt', '--check', at('untidy.ricci'), at('inner/tidy.ricci'));
    expect(result).toEqual({ status: 1, stdout: `${at('untidy.ricci')}: is not formatted\n`, stderr: '' });
    expect(read('untidy.ricci')).toBe(untidy);
  });

  test('with errors stay as they are, and the others are written', async () => {
    const { status, stdout, stderr } = await runInProcess('fmt', folder);
    expect(status).toBe(1);
    expect(stdout).toBe(`${at('untidy.ricci')}: formatted\n`);
    expect(stderr).toContain('error[E0101]');
    expect(read('wrong.ricci')).toBe(wrong);
    expect(read('untidy.ricci')).toBe(tidy);
  });

  test('that cannot be read are named, and nothing is written', async () => {
    const { status, stderr } = await runInProcess('fmt', at('untidy.ricci'), at('absent.ricci'));
    expect(status).toBe(1);
    expect(stderr).toContain(`cannot read ${at('absent.ricci')}: there is no such file`);
    expect(read('untidy.ricci')).toBe(untidy);
  });

  test('answer once in JSON', async () => {
    const { status, stdout, stderr } = await runInProcess('fmt', '--json', folder);
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    const answer: unknown = JSON.parse(stdout);
    expect(answer).toMatchObject({
      version: 1,
      changed: [at('untidy.ricci')],
      diagnostics: [{ code: 'E0101' }],
    });
  });
});

describe('standard input', () => {
  const pipe = (input: string, ...options: readonly string[]) => {
    const args = [join(packageRoot, 'dist/cli/main.js'), 'fmt', '-', ...options];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { input, encoding: 'utf8' });
    return { status, stdout, stderr };
  };

  test('goes to standard output', () => {
    expect(pipe(untidy)).toEqual({ status: 0, stdout: tidy, stderr: '' });
  });

  test('with --check says what it is', () => {
    expect(pipe(untidy, '--check')).toMatchObject({ status: 1, stdout: 'standard input is not formatted\n' });
    expect(pipe(tidy, '--check')).toMatchObject({ status: 0, stdout: '' });
  });

  test('with errors gives no text', () => {
    const { status, stdout, stderr } = pipe(wrong);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('error[E0101]');
  });

  test('comes alone', async () => {
    const { status, stderr } = await runInProcess('fmt', '-', at('untidy.ricci'));
    expect(status).toBe(1);
    expect(stderr).toContain('`-` and files together');
  });
});

test('every shipped source is formatted', async () => {
  const shipped = ['stdlib', 'examples', 'property-tests', 'bench'].map((name) => join(packageRoot, name));
  expect(await runInProcess('fmt', '--check', ...shipped)).toEqual({ status: 0, stdout: '', stderr: '' });
});
