/** How the command ends: 0 fine, 1 a diagnostic or a failed property, 2 wrong usage, 70 an internal error. */
import { CommanderError } from 'commander';
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

/** Says what went wrong, if it was not said yet, and gives the status to exit with. */
export function reportFailure(error: unknown, output: Output): ExitStatus {
  if (error instanceof Ended) return error.status;
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitStatus.fine : exitStatus.usage;
  if (isUserError(error)) {
    output.failure({ code: error.code, message: error.message, help: error.help });
    return exitStatus.diagnostic;
  }
  if (isSystemError(error)) {
    output.failure({
      code: 'file-access',
      message: error.message,
      help: systemHelp[error.code] ?? 'check the path and its permissions',
    });
    return exitStatus.diagnostic;
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  output.failure({
    code: 'internal',
    message: `internal error: ${detail}`,
    help: 'this is a fault of ricci, not of your program: please report it with the file that shows it',
  });
  return exitStatus.internal;
}

interface SystemError extends Error {
  readonly code: string;
  readonly syscall: string;
}

function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

const systemHelp: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: nothing half-written was left; free some room and run again',
  EACCES: 'there is no permission for that path',
  ENOENT: 'there is no such file or directory',
  EROFS: 'the file system is read-only',
};
