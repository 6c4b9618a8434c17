/**
 * What a package on disk says of its own contents, so that an edited or damaged one is refused instead of
 * run.
 */
import { createHash } from 'node:crypto';

/** Of a manifest as JSON has it and of the text of its kernels, by name in the manifest's order. */
export function packageDigest(manifest: unknown, code: ReadonlyMap<string, string>): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([manifest, ...code]));
  return `sha256:${hash.digest('hex')}`;
}
