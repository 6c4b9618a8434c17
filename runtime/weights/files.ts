/** Reading and writing files so that whatever goes wrong is one error for the user. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { fileReason } from '../../compiler/plan/file-reason.ts';
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
      `cannot ${verb} ${file}: ${fileReason(error)}`,
      verb === 'read' ? 'check the path' : 'choose a place that you may write to',
    );
  }
}

/**
 * The file is the new one or the old one, never half of either: the pieces are written beside it, then
 * renamed. A link stays, and what it points to is replaced. What is no file (`/dev/stdout`, a pipe) is
 * written to as it is.
 */
export function writeWhole(file: string, pieces: Iterable<Uint8Array>): void {
  withFile(file, 'write', () => {
    const old = fs.statSync(file, { throwIfNoEntry: false });
    if (old !== undefined && !old.isFile()) writePieces(file, 'w', pieces);
    else replace(old === undefined ? file : fs.realpathSync(file), old?.mode, pieces);
  });
}

function replace(file: string, mode: number | undefined, pieces: Iterable<Uint8Array>): void {
  const beside = `${file}.${randomUUID()}`;
  try {
    writePieces(beside, 'wx', pieces);
    if (mode !== undefined) fs.chmodSync(beside, mode);
    fs.renameSync(beside, file);
  } finally {
    fs.rmSync(beside, { force: true });
  }
}

function writePieces(file: string, flags: 'w' | 'wx', pieces: Iterable<Uint8Array>): void {
  const handle = fs.openSync(file, flags);
  try {
    for (const piece of pieces) writeAll(handle, piece);
    if (fs.fstatSync(handle).isFile()) fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
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
