/** Random words. */
import type { Operations } from './operations.ts';

/** A word of Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers", SC'11). */
export function threefry<V, T>(o: Operations<V, T>, word: 0 | 1, operands: readonly [V, V, V, V]): V {
  const [key0, key1, counter0, counter1] = operands;
  const parity = o.xor(o.xor(key0, key1), o.word(0x1bd11bda));
  const key = [key0, key1, parity] as const;
  const rotations = [13, 15, 26, 6, 17, 29, 16, 24];
  let x = o.addWords(counter0, key0);
  let y = o.addWords(counter1, key1);
  for (let round = 0; round < 20; round++) {
    const by = rotations[round % 8]!;
    x = o.addWords(x, y);
    y = o.xor(o.or(o.shiftLeft(y, by), o.shiftRight(y, 32 - by)), x);
    if (round % 4 !== 3) continue;
    const turn = Math.floor(round / 4) + 1;
    x = o.addWords(x, key[turn % 3]!);
    y = o.addWords(o.addWords(y, key[(turn + 1) % 3]!), o.word(turn));
  }
  return word === 0 ? x : y;
}
