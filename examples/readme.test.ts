/**
 * Every example's README says a command and what it prints: run here, numbers with a point compared within a
 * tolerance.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runBuilt } from '../cli/testing.ts';

interface Shown {
  readonly folder: string;
  readonly command: string;
  readonly expected: string;
}

const folders = readdirSync(import.meta.dirname).filter((name) =>
  statSync(join(import.meta.dirname, name)).isDirectory(),
);

const block = /```sh\n(.*?)```\s*```text\n(.*?)```/gs;

const shown: readonly Shown[] = folders.flatMap((folder) => {
  const text = readFileSync(join(import.meta.dirname, folder, 'README.md'), 'utf8');
  return [...text.matchAll(block)].map(([, command = '', expected = '']) => ({
    folder,
    command: command.trim(),
    expected,
  }));
});

const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
  scripts: Readonly<Record<string, string>>;
};

/** The script under `dist` and its arguments, of `npx ricci …` and `npm run NAME`. */
function resolve(command: string): readonly [string, readonly string[]] {
  const [program, first = '', ...rest] = command.split(/\s+/);
  if (program === 'npx' && first === 'ricci') return ['cli/main.js', rest];
  const script = program === 'npm' && first === 'run' ? scripts[rest[0] ?? ''] : undefined;
  const [, file] = /^node dist\/(\S+)$/.exec(script ?? '') ?? [];
  if (file === undefined) throw new Error(`${command}: is neither npx ricci nor a script of package.json`);
  return [file, rest.slice(1)];
}

const fraction = /-?\d+\.\d+(?:e[+-]?\d+)?/g;

/** Whether two texts are the same but for fractions, which differ by 2 % or a hundredth at most. */
function agree(left: string, right: string): boolean {
  const [numbers, others] = [left, right].map((text) =>
    [...text.matchAll(fraction)].map(([digits]) => Number(digits)),
  );
  const spaced = (text: string) => text.replaceAll(fraction, '#').replaceAll(/ +/g, ' ');
  return (
    spaced(left) === spaced(right) &&
    (numbers ?? []).every((number, place) => {
      const other = others?.[place] ?? Number.NaN;
      return Math.abs(number - other) <= Math.max(0.01, 0.02 * Math.abs(other));
    })
  );
}

test('every example shows a command and its output', () => {
  expect(new Set(shown.map(({ folder }) => folder))).toEqual(new Set(folders));
  expect(folders.length).toBeGreaterThanOrEqual(4);
});

test('texts agree with near fractions, and with nothing else', () => {
  expect(agree('3 of 4, 1.500 -2.0e-7', '3 of 4,  1.501 -2.1e-7')).toBe(true);
  expect(agree('3 of 4, 1.5', '2 of 4, 1.5')).toBe(false);
  expect(agree('1.5', '1.6')).toBe(false);
  expect(agree('1.5', '1.5 1.5')).toBe(false);
});

test.each(shown)('$folder: $command', ({ command, expected }) => {
  const { status, stdout, stderr } = runBuilt(...resolve(command));
  expect(status, stderr).toBe(0);
  if (!agree(stdout, expected)) expect(stdout).toBe(expected);
});
