/** `ricci test`: what it says of properties that fail, where it keeps counterexamples, and what it refuses. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CommandResult, runInProcess } from './testing.ts';

const source = `import "./scale.ricci" as scale

property doubled
  forall x: f32[N]
  where 2 <= N
  check x[1] == scale.double(x)[1]

property kept
  forall x: f32[N]
  check x == x
`;

let folder: string;
let file: string;
const at = (name: string): string => join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-test-'));
  file = at('laws.ricci');
  writeFileSync(file, source);
  writeFileSync(at('scale.ricci'), 'fn double(x: f32[N]) -> f32[N] = for i: 2.0 * x[i]\n');
});
afterEach(() => rmSync(folder, { recursive: true }));

const tested = (...more: readonly string[]): Promise<CommandResult> =>
  runInProcess('test', file, '--target', 'reference', '--runs', '20', ...more);

describe('a counterexample is', () => {
  test('a file beside the tested one, which checks, is formatted, and fails', async () => {
    const { status, stdout, stderr } = await tested('--seed', '1');
    expect(status).toBe(1);
    expect(stdout).toContain('1 of 2 properties failed');
    const saved = at('counterexamples/doubled.ricci');
    expect(readdirSync(at('counterexamples'))).toEqual(['doubled.ricci']);
    const text = readFileSync(saved, 'utf8');
    expect(text).toContain('import "../scale.ricci" as scale\n');
    expect(stderr).toContain(`it is in ${saved}: ricci test ${saved}`);
    for (const line of text.trimEnd().split('\n')) expect(stderr).toContain(line);

    expect((await runInProcess('check', saved)).status).toBe(0);
    expect((await runInProcess('fmt', '--check', saved)).status).toBe(0);
    const again = await runInProcess('test', saved, '--target', 'reference');
    expect(again.status).toBe(1);
    expect(again.stdout).toMatch(/FAILED {2}doubled {2}1 case, all there are/);
    // It is its own counterexample: nothing is added to what is there.
    expect(readdirSync(at('counterexamples'))).toEqual(['doubled.ricci']);
    expect(again.stderr).not.toContain('by itself');
  });

  test('found again by what it says', async () => {
    const { stderr } = await tested('--seed', '1', '--no-save');
    const [, seed, path] = /--seed (\d+) --path ([\d:]+)/.exec(stderr)!;
    const again = await tested('--property', 'doubled', '--seed', seed!, '--path', path!, '--no-save');
    expect(again.status).toBe(1);
    const values = (text: string): string | undefined => /x: f32.* = .*/.exec(text)?.[0];
    expect(values(again.stderr)).toBe(values(stderr));
    expect(values(stderr)).toBeDefined();
  });

  test('shown, and not saved, with --no-save', async () => {
    const { stderr } = await tested('--no-save');
    expect(stderr).toContain('property doubled');
    expect(stderr).not.toContain('it is in');
    expect(existsSync(at('counterexamples'))).toBe(false);
  });

  test('in the folder of --save, which is made', async () => {
    const { stderr } = await tested('--save', at('a/b'));
    expect(stderr).toContain(`it is in ${at('a/b/doubled.ricci')}`);
    expect(readFileSync(at('a/b/doubled.ricci'), 'utf8')).toContain('import "../../scale.ricci" as scale');
    expect((await runInProcess('check', at('a/b/doubled.ricci'))).status).toBe(0);
  });

  test('not written over another one, and not kept twice', async () => {
    mkdirSync(at('counterexamples'));
    writeFileSync(at('counterexamples/doubled.ricci'), 'property other forall x: f32 check x == 0.0\n');
    for (const seed of ['1', '1', '1']) await tested('--seed', seed);
    expect(readdirSync(at('counterexamples')).toSorted()).toEqual(['doubled-2.ricci', 'doubled.ricci']);
    expect(readFileSync(at('counterexamples/doubled.ricci'), 'utf8')).toContain('other');
  });

  test('in the JSON, as text and as a file', async () => {
    const { stdout } = await tested('--json', '--seed', '1');
    const { counterexample } = JSON.parse(stdout).files[0].properties[0];
    expect(counterexample.file).toBe(at('counterexamples/doubled.ricci'));
    expect(counterexample.text).toBe(readFileSync(counterexample.file, 'utf8'));
  });

  test('shown where it cannot be saved, with the reason', async () => {
    writeFileSync(at('counterexamples'), 'a file');
    const { status, stderr } = await tested();
    expect(status).toBe(1);
    expect(stderr).toMatch(/it was not saved: .*a part of its path is a file/);
    expect(stderr).toContain('property doubled');
  });
});

test('a counterexample imports what it is of, and passes when that is mended', async () => {
  writeFileSync(
    file,
    'fn double(x: f32[N]) -> f32[N] = for i: 3 * x[i]\nproperty p forall x: f32[N] check double(x) === x + x\n',
  );
  await tested();
  const saved = at('counterexamples/p.ricci');
  expect(readFileSync(saved, 'utf8')).toMatch(/^import "\.\.\/laws\.ricci" \(double\)\n/);
  expect((await runInProcess('test', saved, '--target', 'reference', '--no-save')).status).toBe(1);
  writeFileSync(file, 'fn double(x: f32[N]) -> f32[N] = for i: 2 * x[i]\n');
  expect((await runInProcess('test', saved, '--target', 'reference', '--no-save')).status).toBe(0);
});

test.each([
  ['wasm', []],
  ['wgsl', ['--target', 'wgsl']],
  ['ptx', ['--target', 'ptx']],
])(
  'what fails on %s alone says so, and does so again there, from its file and by its path',
  async (target, where) => {
    // Within the bound of rounding the sides are the same: f32 comes to other bits.
    writeFileSync(
      file,
      `fn ratio(x: f32[N]) -> f32[N] = for i: exp(x[i]) * exp(-x[i])
property one forall x: f32[N] check ratio(x) == (for i < N: 1.0)
`,
    );
    const { stderr } = await runInProcess('test', file, '--seed', '1', ...where);
    expect(stderr).toContain(`note: on ${target}`);
    const saved = at('counterexamples/one.ricci');
    const text = readFileSync(saved, 'utf8');
    expect(text).toContain(`/// Seen on ${target}.\n`);
    const onTarget = (own: string, ...args: readonly string[]): Promise<CommandResult> =>
      runInProcess('test', ...args, '--target', own, '--no-save');
    const again = await onTarget(target, saved);
    expect(again.stdout).toMatch(/FAILED {2}one {2}1 case/);
    expect(again.status).toBe(1);
    expect((await onTarget('reference', saved)).status).toBe(0);
    const [, seed, path] = /--seed (\d+) --path ([\d:]+) --target (?:wasm|wgsl|ptx)\n/.exec(text)!;
    const found = await onTarget(target, file, '--seed', seed!, '--path', path!);
    expect(found.status).toBe(1);
    const values = (shown: string): string | undefined => /x: f32.* = .*/.exec(shown)?.[0];
    expect(values(found.stderr)).toBe(values(stderr));
  },
);

interface Refused {
  readonly what: string;
  readonly args: readonly string[];
  readonly status: number;
  readonly message: RegExp;
}

const refused: readonly Refused[] = [
  {
    what: 'a property that there is not',
    args: ['--property', 'tripled'],
    status: 1,
    message: /there is no property tripled\n.*there are: doubled, kept/,
  },
  {
    what: 'a path without its seed',
    args: ['--path', '0'],
    status: 2,
    message: /--path means nothing without --seed/,
  },
  {
    what: 'a path that is none',
    args: ['--seed', '1', '--path', '0:x'],
    status: 2,
    message: /'0:x' is not a path/,
  },
  {
    what: 'the path of one of several properties',
    args: ['--seed', '1', '--path', '0'],
    status: 2,
    message: /--path is of one property, and there are several/,
  },
  {
    what: 'a folder that is a file',
    args: ['--save', 'scale.ricci/inside'],
    status: 1,
    message: /cannot save counterexamples in .*: a part of its path is a file/,
  },
];

describe('refused is', () => {
  test.each(refused)('$what', async ({ args, status, message }) => {
    const places = args.map((arg) => (arg.startsWith('scale.ricci') ? at(arg) : arg));
    const result = await tested(...places);
    expect(result.stderr).toMatch(message);
    expect(result.status).toBe(status);
    expect(result.stdout).toBe('');
    expect(existsSync(at('counterexamples'))).toBe(false);
  });

  test('a file without properties', async () => {
    const { status, stderr } = await runInProcess('test', at('scale.ricci'), '--target', 'reference');
    expect(stderr).toContain(`there are no properties in ${at('scale.ricci')}`);
    expect(status).toBe(1);
  });

  test.each(['0:9999', '0:0:0:0:0:0:0:0:0:0:0:0', '9999999999999999999999'])(
    'the path %s, which leads nowhere',
    async (path) => {
      const { status, stderr } = await tested('--property', 'doubled', '--seed', '1', '--path', path);
      expect(stderr).toContain(`there is no case of doubled at --path ${path}`);
      expect(status).toBe(1);
    },
  );
});
