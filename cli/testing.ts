/** Tests' way to call the command: in this process, or as a user would. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../driver/package-root.ts';
import { runCommand } from './command.ts';

export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Neither stream is a terminal. */
export async function runInProcess(...args: readonly string[]): Promise<CommandResult> {
  let [stdout, stderr] = ['', ''];
  const status = await runCommand(args, {
    out: { write: (text) => (stdout += text) },
    err: { write: (text) => (stderr += text) },
    colour: false,
    outColour: false,
  });
  return { status, stdout, stderr };
}

/** The built command in a process of its own, from the folder of the package. */
export function runBuilt(
  script: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): CommandResult {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(packageRoot, 'dist', script), ...args],
    {
      cwd: packageRoot,
      encoding: 'utf8',
      env: { ...process.env, ...environment },
    },
  );
  return { status, stdout, stderr };
}
