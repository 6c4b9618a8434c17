/** Reading and writing files so that whatever goes wrong is one error for the user. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { UserError } from '../errors.ts';

export function malformed(file: string, reason: string): UserError {
  return new UserError('malformed-file', `${file}: ${reason}`, 'write the file again, or download it again');
}

/** @throws UserError `file-access`. */
export function withFile<T>(file: string, verb: 'read' | 'write', work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      'file-access',
      `cannot ${verb} ${file}: ${(error as Error).message}`,
      verb === 'read' ? 'check the path' : 'choose a place that you may write to',
    );
  }
}

/** The file is the new one or the old one, never half of either: the pieces are written beside it, then renamed. */
export function writeWhole(file: string, pieces: Iterable<Uint8Array>): void {
  const beside = `${file}.${randomUUID()}`;
  withFile(file, 'write', () => {
    try {
      const handle = fs.openSync(beside, 'wx');
      try {
        for (const piece of pieces) writeAll(handle, piece);
        fs.fsyncSync(handle);
      } finally {
        fs.closeSync(handle);
      }
      fs.renameSync(beside, file);
    } finally {
      fs.rmSync(beside, { force: true });
    }
  });
}

function writeAll(handle: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.byteLength; ) done += fs.writeSync(handle, bytes, done);
}

/** @returns fewer bytes than asked for when the file ends before. */
export function readRange(handle: number, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = fs.readSync(handle, bytes, done, Math.min(length - done, 2 ** 30), position + done);
    if (count === 0) return bytes.subarray(0, done);
    done += count;
  }
  return bytes;
}
