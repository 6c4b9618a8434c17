/** The small programs: one file a topic, each exported function an entry to run. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Checked, checkFile } from '../driver/check.ts';

const folder = join(import.meta.dirname, 'programs');

export const programFiles: readonly string[] = readdirSync(folder).filter((name) => name.endsWith('.ricci'));

export function programPath(file: string): string {
  return join(folder, file);
}

/** Throws with every diagnostic when the program has errors. */
export function checkSmallProgram(file: string): Checked {
  const outcome = checkFile(programPath(file));
  if (outcome.kind === 'checked') return outcome;
  throw new Error(outcome.diagnostics.map(({ code, message }) => `${code} ${message}`).join('\n'));
}

export function exportedEntries({ program }: Checked): readonly string[] {
  return [...program.entries.values()].filter(({ exported }) => exported).map(({ name }) => name);
}
