/** Ranks must run the same program. They compare before they start. */
import { createHash } from 'node:crypto';
import { UserError } from '../errors.ts';
import type { Communicator } from './communicator.ts';
import { gatherTexts } from './gather-texts.ts';
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
  throw disagreement(name, holders);
}

/**
 * A collective: of the parts that several ranks have, by name, compares what they are.
 *
 * @throws UserError `wrong-input` on every rank, naming the first part of which ranks have different ones.
 */
export async function agreeOnParts(world: Communicator, parts: ReadonlyMap<string, string>): Promise<void> {
  const all = await gatherTexts(world, JSON.stringify([...parts]));
  const holders = new Map<string, Map<string, number[]>>();
  for (const [rank, text] of all.entries())
    for (const [name, content] of JSON.parse(text) as readonly (readonly [string, string])[]) {
      const ofPart = holders.get(name) ?? new Map<string, number[]>();
      ofPart.set(content, [...(ofPart.get(content) ?? []), rank]);
      holders.set(name, ofPart);
    }
  const different = [...holders].find(([, ofPart]) => ofPart.size > 1);
  if (different === undefined) return;
  const [name, ofPart] = different;
  throw disagreement(name, ofPart);
}

/** Those that differ from what most have. */
function disagreement(name: string, holders: ReadonlyMap<string, readonly number[]>): UserError {
  const [most, ...others] = [...holders.values()].sort((left, right) => right.length - left.length);
  const odd = others.flat().sort((left, right) => left - right);
  return new UserError(
    'wrong-input',
    `${showRanks(odd)} ${odd.length === 1 ? 'has' : 'have'} another ${name} than ${showRanks(most!)}`,
    `give all ranks the same ${name}`,
  );
}
