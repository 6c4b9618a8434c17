/**
 * Every program in golden/ has its errors beside it, as the terminal shows them. `UPDATE_GOLDEN=1` writes them anew:
 * read the difference before committing it.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { moduleLoader } from '../../driver/module-loader.ts';
import { renderDiagnostic } from '../diagnostics/render-terminal.ts';
import { checkProgram, type ModuleLoader } from './check.ts';

const folder = join(import.meta.dirname, 'golden');
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.ricci'))
  .map((file) => basename(file, '.ricci'));

/** Files are named without their folder, so that the output is the same everywhere. */
const loader: ModuleLoader = {
  ...moduleLoader,
  standard: (name) => {
    const source = moduleLoader.standard(name);
    return source && { ...source, path: `stdlib/${name}.ricci` };
  },
  file: (_, relative) => {
    const path = join(folder, relative);
    return existsSync(path) ? { path: basename(relative), text: readFileSync(path, 'utf8') } : undefined;
  },
};

function rendered(name: string): string {
  const path = `${name}.ricci`;
  const { diagnostics, sources } = checkProgram(
    { path, text: readFileSync(join(folder, path), 'utf8') },
    loader,
  );
  const shown = diagnostics.map((diagnostic) => renderDiagnostic(diagnostic, sources, { colour: false }));
  return `${shown.join('\n\n')}\n`;
}

describe('errors of', () => {
  it.each(names)('%s', (name) => {
    const file = join(folder, `${name}.txt`);
    const text = rendered(name);
    expect(text).not.toBe('\n');
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, text);
    expect(text).toBe(existsSync(file) ? readFileSync(file, 'utf8') : '');
  });
});
