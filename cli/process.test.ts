/** What only a process of its own shows: exit statuses, streams that break, the environment. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../driver/package-root.ts';
import { runBuilt } from './testing.ts';

const main = 'cli/main.js';
const explain = 'explain examples/moe/moe.ricci --size T=4,D=8,F=8,E=4,K=2 --adapter none';

function inShell(command: string) {
  const ricci = `"${process.execPath}" "${join(packageRoot, 'dist', main)}"`;
  const line = command.replaceAll('ricci!', ricci);
  return spawnSync('bash', ['-c', line], { cwd: packageRoot, encoding: 'utf8' });
}

test('exit statuses', () => {
  expect(runBuilt(main, ['check', 'examples/moe/moe.ricci'])).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(runBuilt(main, ['check', 'nothing.ricci'])).toMatchObject({ status: 1, stdout: '' });
  expect(runBuilt(main, ['--nothing'])).toMatchObject({ status: 2, stdout: '' });
});

test('a reader that leaves early is no failure', () => {
  const { stdout, stderr } = inShell(`{ ricci! ${explain}; echo "ended with $?" >&2; } | head -c 6`);
  expect(stdout).toBe('export');
  expect(stderr).toBe('ended with 0\n');
});

test('a reader of errors that leaves early does not make them go away', () => {
  const bad = 'run examples/moe/moe.ricci --size T=4 --random 1';
  const { stderr } = inShell(`{ { sleep 1; ricci! ${bad} 2>&1; echo "ended with $?" >&3; } | true; } 3>&2`);
  expect(stderr).toBe('ended with 1\n');
});

test('a reader that was never there is no failure', () => {
  const { stderr } = inShell(`{ sleep 1; ricci! ${explain}; echo "ended with $?" >&2; } | true`);
  expect(stderr).toBe('ended with 0\n');
});

test.skipIf(!existsSync('/dev/full'))('a full disk under standard output is one line and status 1', () => {
  const { status, stderr } = inShell(`ricci! ${explain} > /dev/full`);
  expect(stderr).toMatch(/^error: cannot write to standard output: .*\n$/);
  expect(status).toBe(1);
});

test.skipIf(process.platform !== 'linux')('no adapter is one error, which names what was chosen', () => {
  const args = 'run examples/moe/moe.ricci --size T=4,D=8,F=8,E=4,K=2 --random 1'.split(' ');
  const chosen = { VK_ICD_FILENAMES: '/nothing.json', VK_DRIVER_FILES: '' };
  const { status, stdout, stderr } = runBuilt(main, args, chosen);
  expect(stderr).toMatch(
    /^error: the Vulkan driver chosen in the environment, \/nothing\.json, gives no adapter$/m,
  );
  expect(stderr).not.toMatch(/^\s+at .*\.js:\d+/m);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
});
