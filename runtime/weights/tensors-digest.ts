/** A short text that is the same exactly for the same tensors. */
import { createHash } from 'node:crypto';
import type { TensorData } from './tensor-data.ts';

/** Of tensors by path, in whatever order they are. */
export function tensorsDigest(tensors: ReadonlyMap<string, TensorData>): string {
  const hash = createHash('sha256');
  for (const path of [...tensors.keys()].toSorted()) {
    const { dtype, shape, bytes } = tensors.get(path)!;
    // The type says how many bytes follow, so that no two sets of tensors are one text.
    hash.update(`${JSON.stringify([path, dtype, shape])}\n`).update(bytes);
  }
  return `sha256:${hash.digest('hex')}`;
}
