import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runInProcess } from '../cli/testing.ts';

const declared = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ricci.d.ts'),
);

test('there are declarations', () => expect(declared).toContain('moe/moe.ricci.d.ts'));

test.each(declared)('%s is what ricci declare writes now', async (file) => {
  const path = join(import.meta.dirname, file);
  const { stdout } = await runInProcess('declare', '--stdout', path.replace(/\.d\.ts$/, ''));
  expect(readFileSync(path, 'utf8')).toBe(stdout);
});
