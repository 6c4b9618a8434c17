import { totalmem } from 'node:os';
import { bytesText } from '../compiler/plan/storage-bytes.ts';
import { UserError } from '../runtime/errors.ts';

/** What one thing may take of it: the rest is for all that is there beside. */
const share = 0.75;

/** @throws UserError when this machine cannot have that much, rather than be ended by the system half-way. */
export function checkMainMemory(what: string, bytes: number): void {
  // Of the container, where there is one.
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  const available = Math.floor(share * Math.min(totalmem(), constrained));
  if (bytes <= available) return;
  throw new UserError(
    'out-of-memory',
    `${what} would take ${bytesText(bytes)}, more than the ${bytesText(available)} that this machine can spare`,
    'choose smaller sizes',
  );
}
