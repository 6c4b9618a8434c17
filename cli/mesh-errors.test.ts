/** What the command says of a mesh that does not fit, line by line. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runInProcess } from './testing.ts';

const program = `mesh (dp, tp)

export fn rows(x: f32[T@dp, D@tp], w: f32[D]) -> f32[T@dp] {
  let y[t] = sum d: x[t, d] * w[d]
  all_reduce(y, tp)
}
`;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-mesh-errors-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Without the first line break and the common indentation. */
function golden(text: string): string {
  return text.replace(/^\n/, '').replace(/^ {4}/gm, '').replace(/ +$/, '');
}

async function said(text: string, ...options: readonly string[]): Promise<string> {
  const file = join(folder, 'rows.ricci');
  writeFileSync(file, text);
  const args = ['run', file, '--target', 'reference', '--random', '1', ...options];
  const { status, stdout, stderr } = await runInProcess(...args);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  return stderr.replaceAll(`${folder}/`, '');
}

const wide = `mesh (dp, tp)

export fn wide(x: f32[D@(dp, tp)]) -> f32[D@(dp, tp)] = for d: x[d] * 2
`;

const twice = `mesh (dp, tp)

export fn twice(x: f32[T@dp, D@dp]) -> f32[T] = for t: 1.0
`;

test.each<[string, string, readonly string[], string]>([
  [
    'a size that the devices do not divide',
    program,
    ['--size', 'T=6,D=8', '--mesh', 'dp=4'],
    `
    error[E0604]: the dimension T@dp of rows does not divide into 4 blocks for T=6, dp=4
      ┌─ rows.ricci:3:16
    3 │ export fn rows(x: f32[T@dp, D@tp], w: f32[D]) -> f32[T@dp] {
      │                ^^^^^^^^^^^^^^^^^^ x has 6 there
      │                                                  --------- the result has 6 there
      = help: give a size of which 4 devices have equal blocks: T = 4 or 8
      = help: or a mesh that divides 6: dp=1 or dp=2 or dp=3
    `,
  ],
  [
    'one that two axes together do not',
    wide,
    ['--size', 'D=6', '--mesh', 'dp=2,tp=2'],
    `
    error[E0604]: the dimension D@(dp, tp) of wide does not divide into 4 blocks for D=6, dp=2, tp=2
      ┌─ rows.ricci:3:16
    3 │ export fn wide(x: f32[D@(dp, tp)]) -> f32[D@(dp, tp)] = for d: x[d] * 2
      │                ^^^^^^^^^^^^^^^^^^ x has 6 there
      │                                       --------------- the result has 6 there
      = help: give a size of which 4 devices have equal blocks: D = 4 or 8
      = help: or a mesh on which dp × tp divides 6
    `,
  ],
  [
    'an axis that there is not',
    program,
    ['--size', 'T=4,D=8', '--mesh', 'dp=2,sp=2'],
    `
    error: there is no mesh axis sp
      = help: there are: dp, tp
    `,
  ],
  [
    'an axis for two dimensions',
    twice,
    ['--size', 'T=4,D=8', '--mesh', 'dp=2'],
    `
    error[E0502]: the axis dp is used twice in one type
      ┌─ rows.ricci:3:32
    3 │ export fn twice(x: f32[T@dp, D@dp]) -> f32[T] = for t: 1.0
      │                                ^^
      │                          -- first used here
      = help: cut the dimension over another axis, or over none
    `,
  ],
])('%s', async (_, text, options, expected) => {
  expect(await said(text, ...options)).toBe(golden(expected));
});
