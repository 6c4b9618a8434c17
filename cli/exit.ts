/** How the command ends: 0 fine, 1 a diagnostic or a failed property, 2 wrong usage, 70 an internal error. */
import { CommanderError } from 'commander';
import { fileReason } from '../compiler/plan/file-reason.ts';
import { isUserError } from '../runtime/errors.ts';
import type { Output } from './output.ts';

export const exitStatus = { fine: 0, diagnostic: 1, usage: 2, internal: 70 } as const;
export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus];

/** Thrown by a command that has already said what is wrong. */
export class Ended extends Error {
  readonly status: ExitStatus;
  constructor(status: ExitStatus) {
    super(`ended with status ${status}`);
    this.status = status;
  }
}

/** The command line is wrong by itself, whatever is in the files that it names. */
export class UsageError extends Error {
  readonly help: string;
  constructor(message: string, help: string) {
    super(message);
    this.help = help;
  }
}

/** Whether the command line is wrong by itself: nothing has been done then. */
export function isWrongUsage(error: unknown): error is CommanderError | UsageError {
  return error instanceof UsageError || (error instanceof CommanderError && error.exitCode !== 0);
}

/** Says what went wrong, if it was not said yet, and gives the status to exit with. */
export function reportFailure(error: unknown, output: Output): ExitStatus {
  if (error instanceof Ended) return error.status;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return exitStatus.fine;
    // As text, the parser of the command line has said it.
    const message = error.message.replace(/^error: /, '');
    if (output.json) output.failure({ code: 'usage', message, help: 'see --help for the options' });
    return exitStatus.usage;
  }
  if (error instanceof UsageError) {
    output.failure({ code: 'usage', message: error.message, help: error.help });
    return exitStatus.usage;
  }
  if (isUserError(error)) {
    output.failure({ code: error.code, message: error.message, help: error.help });
    return exitStatus.diagnostic;
  }
  if (isSystemError(error)) {
    const message = `${error.path ?? error.syscall}: ${fileReason(error)}`;
    output.failure({ code: 'file-access', message, help: 'check the path and its permissions' });
    return exitStatus.diagnostic;
  }
  const [message, stack] = error instanceof Error ? [error.message, error.stack] : [String(error), undefined];
  output.failure({
    code: 'internal',
    message: `internal error: ${message}`,
    help: 'this is a fault of ricci, not of your program: please report it, with what --json says and the file',
    ...(stack === undefined ? {} : { stack }),
  });
  return exitStatus.internal;
}

interface SystemError extends Error {
  readonly syscall: string;
  readonly path?: string;
}

function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}
