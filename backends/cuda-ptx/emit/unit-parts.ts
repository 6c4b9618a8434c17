/**
 * Left factors of matrix units in registers: floats as sums of numbers of 16 bits, which is how the units
 * multiply what is no such number. A packed tile in registers is words of two neighbours each: of every pair,
 * row by row, one for each part.
 */
import { type Half, isHalf } from '../../../compiler/tiles/packed.ts';
import { isOverUnits } from '../../../compiler/tiles/tile-builder.ts';
import type { Tile } from '../../../compiler/tiles/tile-program.ts';
import type { Emission, TileState } from './emission.ts';
import { decoded } from './narrow.ts';
import { warpsAlong } from './units.ts';
import { literal, type Value } from './values.ts';
import type { Writer } from './writer.ts';

/** Of neighbours, the first of which is in the lower half of a word. */
type Pair = readonly [Value, Value];

/** The words of a tile's elements. */
export function partsOfValues(writer: Writer, tile: Tile, values: readonly Value[]): readonly Value[] {
  const { packed, parts = 1 } = tile;
  if (packed === undefined) return values;
  if (!isHalf(packed)) throw new Error(`${tile.name} is of registers, where only halves are multiplied`);
  return Array.from({ length: values.length / 2 }, (_, pair) =>
    partsOfPair(writer, packed, [values[2 * pair]!, values[2 * pair + 1]!], parts),
  ).flat();
}

/** Words that are the pair rounded, what that leaves of it rounded, and so on. */
function partsOfPair(writer: Writer, packed: Half, pair: Pair, count: number): readonly Value[] {
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
function halves(writer: Writer, packed: Half, word: Value): Pair {
  const upper =
    packed === 'bf16'
      ? { ...writer.operation('and.b32', 'u32', [word, literal(0xffff0000, 'u32')]), dtype: 'f32' as const }
      : decoded(writer, packed, writer.operation('shr.u32', 'u32', [word, literal(16, 'u32')]));
  return [decoded(writer, packed, word), upper];
}

/**
 * 16 rows and 16 steps, of each part: the results of a product are, two by two, what the next one wants of
 * its left factor.
 */
export function partsFromRegisters(
  emission: Emission,
  left: TileState,
  m: number,
  k: number,
): readonly (readonly Value[])[] {
  const { program } = emission;
  const { name, axes, packed, parts = 1 } = left.tile;
  if (
    packed === undefined ||
    warpsAlong(emission, 'unitColumns') > 1 ||
    !axes.every(({ over }) => isOverUnits(over))
  )
    throw new Error(`${program.name}: ${name} is no left factor for matrix units`);
  const perRow = left.fragment[1]! / 2;
  const pairs = [0, 1].flatMap((column) => [0, 1].map((row) => (2 * m + row) * perRow + k / 8 + column));
  return Array.from({ length: parts }, (_, part) =>
    pairs.map((pair) => left.registers[pair * parts + part]!),
  );
}

export function textsOf(values: readonly Value[]): string {
  return `{${values.map(({ text }) => text).join(', ')}}`;
}
