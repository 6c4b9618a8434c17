/** A text of each rank, on all of them. */
import type { Communicator } from './communicator.ts';

/** Collective. In the order of the ranks. */
export async function gatherTexts(world: Communicator, own: string): Promise<readonly string[]> {
  const bytes = new TextEncoder().encode(own);
  const lengths = new Uint32Array(world.size);
  const asBytes = (words: Uint32Array) => new Uint8Array(words.buffer);
  await world.exchange(
    { verb: 'all_gather', dtype: 'u32' },
    asBytes(Uint32Array.of(bytes.byteLength)),
    asBytes(lengths),
  );
  const longest = Math.max(...lengths);
  const padded = new Uint8Array(longest);
  padded.set(bytes);
  const all = new Uint8Array(longest * world.size);
  await world.exchange({ verb: 'all_gather', dtype: 'u8' }, padded, all);
  return Array.from(lengths, (length, rank) =>
    new TextDecoder().decode(all.subarray(rank * longest, rank * longest + length)),
  );
}
