import { writeWhole } from '../runtime/weights/files.ts';

/**
 * Writes beside the old file and renames: a reader sees the old text or the new one, never a half.
 * @throws UserError `file-access`.
 */
export function writeFileBeside(path: string, content: string | Uint8Array): void {
  writeWhole(path, [typeof content === 'string' ? new TextEncoder().encode(content) : content]);
}
