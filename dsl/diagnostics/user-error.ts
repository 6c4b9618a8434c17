/**
 * Something that the user's files, sizes or machine cannot do. One shape for everything after the front end.
 */

export type UserErrorCode =
  /** A file is not what it says it is. */
  | 'malformed-file'
  /** A file or directory cannot be read or written. */
  | 'file-access'
  /** The inputs given are not those that the entry takes. */
  | 'wrong-input'
  /** The program needs more than the device has. */
  | 'exceeds-device'
  /** There is no device of the kind asked for. */
  | 'no-device'
  | 'out-of-memory'
  | 'device-lost'
  /** The device refused what it was given: a fault of the compiler, reported with the device's own words. */
  | 'device-refused'
  /** Devices that ought to hold the same do not: a fault of the compiler or of a driver. */
  | 'replicas-differ'
  /** A kernel that the emulator runs does what it may not: a fault of the kernel. */
  | 'kernel-fault';

/** The command prints `message` and `help` and ends with exit status 1; it is never a stack trace. */
export class UserError extends Error {
  readonly code: UserErrorCode;
  /** What to do about it: one sentence, no full stop. */
  readonly help: string;

  constructor(code: UserErrorCode, message: string, help: string) {
    super(message);
    this.name = 'UserError';
    this.code = code;
    this.help = help;
  }
}

export function isUserError(error: unknown): error is UserError {
  return error instanceof UserError;
}
