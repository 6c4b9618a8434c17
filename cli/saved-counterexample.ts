/** Where counterexamples are kept: a file each, beside what they are counterexamples to. */
import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileReason } from '../compiler/plan/file-reason.ts';
import { readSource } from '../driver/module-loader.ts';
import { writeFileBeside } from '../driver/write-file.ts';
import { isUserError, UserError } from '../runtime/errors.ts';

export interface SavedCounterexample {
  readonly text: string;
  /** Undefined where it was not saved. */
  readonly file?: string;
  /** Why it was not, where that was asked for. */
  readonly unsaved?: string;
}

const folderName = 'counterexamples';

/** Counterexamples to what is a counterexample itself are its like. */
export function counterexampleFolder(file: string): string {
  const folder = dirname(file);
  return basename(resolve(folder)) === folderName ? folder : join(folder, folderName);
}

/** @throws UserError where no files can be made in it, or it could not be made. */
export function checkFolder(folder: string): void {
  const refuse = (reason: string): UserError =>
    new UserError(
      'file-access',
      `cannot save counterexamples in ${folder}: ${reason}`,
      'choose a folder that you may write to, or --no-save',
    );
  let present = resolve(folder);
  while (!existsSync(present)) present = dirname(present);
  if (!statSync(present).isDirectory()) throw refuse('a part of its path is a file, not a directory');
  try {
    accessSync(present, constants.W_OK);
  } catch (error) {
    throw refuse(fileReason(error));
  }
}

/**
 * In a file of the property's name, with a number where that is taken by another counterexample. One that is
 * there already, whatever its comments say, is left as it is.
 */
export function saveCounterexample(folder: string, name: string, text: string): SavedCounterexample {
  try {
    checkFolder(folder);
    mkdirSync(folder, { recursive: true });
    for (let number = 1; ; number++) {
      const file = join(folder, number === 1 ? `${name}.ricci` : `${name}-${number}.ricci`);
      if (existsSync(file)) {
        if (withoutComments(readSource(file)?.text ?? '') === withoutComments(text)) return { text, file };
        continue;
      }
      writeFileBeside(file, text);
      return { text, file };
    }
  } catch (error) {
    if (!isUserError(error)) throw error;
    return { text, unsaved: error.message };
  }
}

function withoutComments(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('//'))
    .join('\n');
}
