/**
 * What is said of a tensor's values beside their type (`Trait`): kept while cases are drawn and made
 * simpler. All of it is of a number by itself, or of a row along the last dimension.
 */
import { type Choose, pick, shuffled } from '../../compiler/graph/choice-tape.ts';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { isFloat } from '../../compiler/graph/tensor-type.ts';
import { hasTrait } from '../../dsl/types/traits.ts';
import type { Trait } from '../../dsl/types/typed.ts';
import type { CaseTensor, Wanted } from './case.ts';

type Kind = Trait['kind'];
type Row = readonly number[];

export function hasTraits(tensor: CaseTensor, { traits }: Wanted): boolean {
  return rowsOf(tensor).every((row) => traits.every((trait) => hasTrait(row, trait)));
}

/** The tensor itself where it has its traits; otherwise one that has, as near as may be. */
export function withTraits(tensor: CaseTensor, wanted: Wanted): CaseTensor {
  if (hasTraits(tensor, wanted)) return tensor;
  const rows = rowsOf(tensor).map((row) => mended(row, wanted));
  return { ...tensor, data: Float64Array.from(rows.flat()) };
}

/** As `withTraits`, with a permutation drawn as one. */
export function drawnWithTraits(tensor: CaseTensor, wanted: Wanted, choose: Choose): CaseTensor {
  if (!wanted.traits.some(({ kind }) => kind === 'permutation')) return withTraits(tensor, wanted);
  const profile = pick(choose, ['any', 'reversed', 'identity'] as const);
  const rows = rowsOf(tensor).map((row) => permutations[profile](row.length, choose));
  return { ...tensor, data: Float64Array.from(rows.flat()), profile };
}

const permutations: {
  readonly [name in 'any' | 'reversed' | 'identity']: (length: number, choose: Choose) => Row;
} = {
  any: (length, choose) => shuffled(choose, positions(length)),
  reversed: (length) => positions(length).toReversed(),
  identity: positions,
};

function positions(length: number): Row {
  return Array.from({ length }, (_, place) => place);
}

function mended(row: Row, wanted: Wanted): Row {
  const { traits, dtype } = wanted;
  const kinds = new Set<Kind>(traits.map(({ kind }) => kind));
  const limits = limitsOf(wanted);
  const clamped = row.map((value) => roundTo(dtype, Math.min(limits.high, Math.max(limits.low, value))));
  const apart =
    kinds.has('distinct') || kinds.has('permutation') ? madeDistinct(clamped, limits, wanted) : clamped;
  return kinds.has('ascending') ? apart.toSorted((left, right) => left - right) : apart;
}

interface Limits {
  readonly low: number;
  readonly high: number;
}

function limitsOf({ traits, content }: Wanted): Limits {
  let [low, high] = content.kind === 'index' ? [0, content.range - 1] : [-Infinity, Infinity];
  for (const trait of traits) {
    if (trait.kind === 'range') [low, high] = [Math.max(low, trait.from), Math.min(high, trait.to)];
    if (trait.kind === 'positive') low = Math.max(low, Math.min(1, high));
  }
  return { low, high };
}

/** What was there before is replaced by the least that was not; where there is nothing left, it stays. */
function madeDistinct(row: Row, { low, high }: Limits, wanted: Wanted): Row {
  const used = new Set<number>();
  // Floats have room between the ends; steps of a size that narrow ones can tell apart.
  const from = Number.isFinite(low) ? low : 0;
  const step = isFloat(wanted) && Number.isFinite(high) ? (high - from) / (2 * row.length) : 1;
  let next = 0;
  return row.map((value) => {
    let own = value;
    while (used.has(own) && from + next * step <= high) own = roundTo(wanted.dtype, from + next++ * step);
    used.add(own);
    return own;
  });
}

function rowsOf({ data, shape }: CaseTensor): readonly Row[] {
  const length = shape.at(-1) ?? 1;
  const rows = length === 0 ? 0 : data.length / length;
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length }, (_unused, place) => data[row * length + place] as number),
  );
}
