/**
 * Where `import` finds its text: the standard library of this package, and files beside the importing one.
 */
import { isUtf8 } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileReason } from '../compiler/plan/file-reason.ts';
import type { Source } from '../dsl/diagnostics/diagnostic.ts';
import type { ModuleLoader } from '../dsl/types/check.ts';
import { UserError } from '../runtime/errors.ts';
import { packageRoot } from './package-root.ts';

export const standardLibrary: string = join(packageRoot, 'stdlib');

const standardNames: readonly string[] = readdirSync(standardLibrary)
  .filter((file) => file.endsWith('.ricci'))
  .map((file) => basename(file, '.ricci'))
  .sort();

export const moduleLoader: ModuleLoader = {
  standardNames,
  standard: (name) =>
    standardNames.includes(name) ? readSource(join(standardLibrary, `${name}.ricci`)) : undefined,
  file: (fromPath, relative) => readSource(resolve(dirname(fromPath), relative)),
};

/**
 * The file that the user named.
 * @throws UserError `file-access`, saying why it cannot be read.
 */
export function requireSource(path: string): Source {
  return { path, text: textOf(bytesOf(path), path) };
}

function bytesOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const message = `cannot read ${path}: ${fileReason(error)}`;
    throw new UserError('file-access', message, 'give the path of a .ricci file');
  }
}

/**
 * What the bytes say: what is no UTF-8, in a comment even, would be lost where the text is written again.
 * @throws UserError `file-access` when they are no UTF-8.
 */
export function textOf(bytes: Buffer, name: string): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  throw new UserError('file-access', `cannot read ${name}: it is not UTF-8`, 'save it as UTF-8');
}

/** The file's text, or undefined when there is none to read. */
export function readSource(path: string): Source | undefined {
  try {
    return { path, text: readFileSync(path, 'utf8') };
  } catch {
    return undefined;
  }
}
