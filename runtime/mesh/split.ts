/** How a group comes apart: every rank learns who chose the same color. */
import type { Communicator } from './communicator.ts';
import type { Group } from './watch/ledger.ts';

/**
 * A collective over `parent`, which lies along `group`. `index` numbers the splits of a group from 0: it goes
 * into the new group's id, which is then the same on all of its members.
 */
export async function splitGroup(
  parent: Communicator,
  group: Group,
  choice: { readonly index: number; readonly color: number; readonly key: number; readonly label: string },
): Promise<Group> {
  const mine = Int32Array.of(choice.color, choice.key);
  const all = new Int32Array(mine.length * parent.size);
  await parent.exchange({ verb: 'all_gather', dtype: 'i32' }, bytesOf(mine), bytesOf(all));
  const members = Array.from({ length: parent.size }, (_, rank) => ({
    rank,
    color: all[2 * rank]!,
    key: all[2 * rank + 1]!,
  }))
    .filter(({ color }) => color === choice.color)
    .sort((left, right) => left.key - right.key || left.rank - right.rank)
    .map(({ rank }) => group.members[rank]!);
  return { id: `${group.id}/${choice.index}.${choice.color}`, label: choice.label, members };
}

function bytesOf({ buffer, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, 0, byteLength);
}
