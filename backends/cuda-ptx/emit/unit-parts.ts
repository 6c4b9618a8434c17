/** Floats as sums of numbers of 16 bits, which is how matrix units multiply what is no such number. */
import type { Packed } from '../../../compiler/tiles/tile-program.ts';
import { decoded } from './narrow.ts';
import { literal, type Value } from './values.ts';
import type { Writer } from './writer.ts';

/** Of neighbours, the first of which is in the lower half of a word. */
export type Pair = readonly [Value, Value];

/** Words that are the pair rounded, what that leaves of it rounded, and so on. */
export function partsOfPair(writer: Writer, packed: Packed, pair: Pair, count: number): readonly Value[] {
  const words: Value[] = [];
  let left = pair;
  while (words.length < count) {
    const word = writer.operation(`cvt.rn.${packed}x2.f32`, 'u32', [left[1], left[0]]);
    words.push(word);
    const taken = halves(writer, packed, word);
    const rest = (at: 0 | 1) => writer.operation('sub.rn.f32', 'f32', [left[at], taken[at]]);
    left = [rest(0), rest(1)];
  }
  return words;
}

/** The two numbers of a word. */
function halves(writer: Writer, packed: Packed, word: Value): Pair {
  const upper =
    packed === 'bf16'
      ? { ...writer.operation('and.b32', 'u32', [word, literal(0xffff0000, 'u32')]), dtype: 'f32' as const }
      : decoded(writer, packed, writer.operation('shr.u32', 'u32', [word, literal(16, 'u32')]));
  return [decoded(writer, packed, word), upper];
}
