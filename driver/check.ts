/** Programs from files: read, checked, or rejected with what is wrong. */
import type { Diagnostic, Source } from '../dsl/diagnostics/diagnostic.ts';
import { type CheckResult, checkProgram, programChecker } from '../dsl/types/check.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';
import { moduleLoader, requireSource } from './module-loader.ts';

/** What is wrong with a program, and the texts to show it in. */
export interface Rejected {
  readonly kind: 'rejected';
  readonly diagnostics: readonly Diagnostic[];
  readonly sources: ReadonlyMap<string, string>;
}

export interface Checked {
  readonly kind: 'checked';
  readonly program: TypedProgram;
  readonly sources: ReadonlyMap<string, string>;
}

/**
 * Reads and checks a file and all that it imports.
 * @throws UserError when the file cannot be read.
 */
export function checkFile(path: string): Checked | Rejected {
  return checkSource(requireSource(path));
}

/** As `checkFile`, of a text that need not be at its path yet. */
export function checkSource(source: Source): Checked | Rejected {
  return outcomeOf(checkProgram(source, moduleLoader));
}

/** As `checkSource`, of one text after another: what they import is checked once. No fixes are offered. */
export function sourceChecker(): (source: Source) => Checked | Rejected {
  const check = programChecker(moduleLoader);
  return (source) => outcomeOf(check(source));
}

function outcomeOf({ program, diagnostics, sources }: CheckResult): Checked | Rejected {
  return diagnostics.some(({ severity }) => severity === 'error')
    ? { kind: 'rejected', diagnostics, sources }
    : { kind: 'checked', program, sources };
}

/** The entry that was asked for, or the only one there is. */
export function chooseEntry(program: TypedProgram, path: string, entry: string | undefined): string {
  const names = [...program.entries.keys()];
  const exported = names.filter((name) => program.entries.get(name)?.exported);
  const candidates = exported.length > 0 ? exported : names;
  if (entry !== undefined) {
    if (program.entries.has(entry)) return entry;
    throw new UserError('wrong-input', `${path}: no function ${entry}`, `there are: ${names.join(', ')}`);
  }
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return only;
  const help = candidates.length === 0 ? 'write an export fn' : `give --entry: ${candidates.join(', ')}`;
  throw new UserError('wrong-input', `${path}: which function to run is not clear`, help);
}
