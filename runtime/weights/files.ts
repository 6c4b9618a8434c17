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

export interface OpenedFile {
  /** How long it is. */
  readonly bytes: number;
  /** @returns how many bytes were read: fewer than there is room for when the file ends before. */
  readonly readInto: (target: Uint8Array, position: number) => number;
  readonly close: () => void;
}

/** How files are opened for reading: as those of the system, or as a test has them. */
export type OpenFile = (file: string) => OpenedFile;

export const openDiskFile: OpenFile = (file) => {
  const handle = fs.openSync(file, 'r');
  return {
    bytes: fs.fstatSync(handle).size,
    readInto: (target, position) => {
      let done = 0;
      while (done < target.byteLength) {
        const most = Math.min(target.byteLength - done, 2 ** 30);
        const count = fs.readSync(handle, target, done, most, position + done);
        if (count === 0) break;
        done += count;
      }
      return done;
    },
    close: () => fs.closeSync(handle),
  };
};

/** What is in memory, as a file. */
export function fileOf(bytes: Uint8Array): OpenedFile {
  return {
    bytes: bytes.byteLength,
    readInto: (target, position) => {
      const part = bytes.subarray(position, position + target.byteLength);
      target.set(part);
      return part.byteLength;
    },
    close: () => undefined,
  };
}

/** @returns fewer bytes than asked for when the file ends before. */
export function readRange(file: OpenedFile, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, file.readInto(bytes, position));
}
