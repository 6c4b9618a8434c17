/**
 * One clock for the ranks of a job. Ranks of one machine share its monotonic clock. For others, barriers
 * bound how far clocks are apart: nobody leaves one before the last has come. (As round trips do it in
 * Cristian, "Probabilistic clock synchronization", 1989.)
 */
import type { Communicator } from '../mesh/communicator.ts';

export interface CommonClock {
  /** Nanoseconds since rank 0 came to the last barrier; the same on all ranks, but for `uncertainty`. */
  readonly now: () => number;
  /** Nanoseconds by which this rank may be off rank 0; 0 where they share a clock. */
  readonly uncertainty: number;
}

/** When a rank came to each barrier and when it left, in nanoseconds by its own clock. */
export interface Passage {
  readonly came: readonly number[];
  readonly left: readonly number[];
}

/** The more, the better is the best of them. */
const barriers = 8;

/** Collective. */
export async function commonClock(world: Communicator): Promise<CommonClock> {
  const clock = () => Number(process.hrtime.bigint());
  const own: { came: number[]; left: number[] } = { came: [], left: [] };
  for (let round = 0; round < barriers; round++) {
    own.came.push(clock());
    await world.exchange({ verb: 'barrier' }, new Uint8Array(), new Uint8Array());
    own.left.push(clock());
  }
  const numbers = Float64Array.from([...own.came, ...own.left]);
  const all = new Float64Array(numbers.length * world.size);
  const asBytes = ({ buffer }: Float64Array<ArrayBuffer>) => new Uint8Array(buffer);
  await world.exchange({ verb: 'all_gather', dtype: 'u8' }, asBytes(numbers), asBytes(all));
  const first: Passage = {
    came: [...all.subarray(0, barriers)],
    left: [...all.subarray(barriers, 2 * barriers)],
  };
  const { ahead, uncertainty } = clockDifference(own, first);
  const zero = first.came.at(-1)!;
  return { now: () => clock() - ahead - zero, uncertainty };
}

/** By how much the clock of `own` is ahead of that of `other`. */
export function clockDifference(
  own: Passage,
  other: Passage,
): { readonly ahead: number; readonly uncertainty: number } {
  const least = Math.max(...own.came.map((came, round) => came - other.left[round]!));
  const most = Math.min(...own.left.map((left, round) => left - other.came[round]!));
  if (least <= 0 && 0 <= most) return { ahead: 0, uncertainty: 0 };
  return { ahead: (least + most) / 2, uncertainty: (most - least) / 2 };
}
