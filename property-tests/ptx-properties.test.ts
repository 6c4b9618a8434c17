/** Properties hold as PTX, in the emulator, too: those beside this, and where there is time those of the library. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runInProcess } from '../cli/testing.ts';
import { standardLibrary } from '../driver/module-loader.ts';
import { allAsPtx } from './all-as-ptx.ts';

function filesOf(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.ricci'))
    .map((name) => join(folder, name));
}

const files = [
  ...filesOf(join(import.meta.dirname, 'properties')),
  ...(allAsPtx ? filesOf(standardLibrary) : []),
];

test.each(files)('%s', async (file) => {
  const { status, stdout, stderr } = await runInProcess(
    ...['test', file, '--target', 'ptx', '--seed', '1', '--runs', allAsPtx ? '20' : '1', '--no-save'],
  );
  expect(status, stdout + stderr).toBe(0);
  expect(stdout).toMatch(/\bptx \d+/);
});
