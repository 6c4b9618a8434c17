/** Ranks must run the same program. They compare before they start. */
import { createHash } from 'node:crypto';
import { UserError } from '../errors.ts';
import type { Communicator } from './communicator.ts';
import { showRanks } from './show-ranks.ts';

/**
 * A collective: compares `content` (the text of a package, a hash, the command's options) over all ranks.
 *
 * @throws UserError `wrong-input` on every rank, naming those that differ from what most have (from rank 0,
 *   where no content has more ranks than another).
 */
export async function agree(world: Communicator, name: string, content: string): Promise<void> {
  const mine = createHash('sha256').update(`${name}\0${content}`).digest();
  const all = new Uint8Array(mine.byteLength * world.size);
  await world.exchange({ verb: 'all_gather', dtype: 'u8' }, mine, all);
  const holders = new Map<string, number[]>();
  for (let rank = 0; rank < world.size; rank++) {
    const digest = Buffer.from(all.subarray(rank * mine.byteLength, (rank + 1) * mine.byteLength)).toString(
      'hex',
    );
    holders.set(digest, [...(holders.get(digest) ?? []), rank]);
  }
  if (holders.size === 1) return;
  const [most, ...others] = [...holders.values()].sort((left, right) => right.length - left.length);
  const odd = others.flat().sort((left, right) => left - right);
  throw new UserError(
    'wrong-input',
    `${showRanks(odd)} ${odd.length === 1 ? 'has' : 'have'} another ${name} than ${showRanks(most!)}`,
    `give all ranks the same ${name}`,
  );
}
