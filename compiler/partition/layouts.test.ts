import { expect, test } from 'vitest';
import type { ChangeFault } from './change.ts';
import { isFault } from './change.ts';
import type { SequenceLayout } from './layouts.ts';
import { contiguousLayout, stripedLayout, twoDimensionalLayout, zigzagLayout } from './layouts.ts';

function made(layout: SequenceLayout | ChangeFault): SequenceLayout {
  if (isFault(layout)) throw new Error(layout.message);
  return layout;
}

/** The tokens of each rank, in order of local position. */
function tokensOf({ tokens, ranks, tokenAt }: SequenceLayout): readonly (readonly number[])[] {
  const positions = Array.from({ length: tokens / ranks }, (_, position) => position);
  return Array.from({ length: ranks }, (_, rank) => positions.map((position) => tokenAt({ rank, position })));
}

/** The pairs of a query and a key that is not after it. */
function visiblePairs(queries: readonly number[], keys: readonly number[]): number {
  return queries.reduce((count, query) => count + keys.filter((key) => key <= query).length, 0);
}

/** All that a rank computes: its queries over all keys. */
function workOf(layout: SequenceLayout): readonly number[] {
  const all = Array.from({ length: layout.tokens }, (_, token) => token);
  return tokensOf(layout).map((queries) => visiblePairs(queries, all));
}

const layouts: readonly (readonly [string, SequenceLayout])[] = [1, 2, 3, 4].flatMap((ranks) => [
  [`contiguous over ${ranks}`, made(contiguousLayout(24, ranks))] as const,
  [`striped over ${ranks}`, made(stripedLayout(24, ranks))] as const,
  [`zigzag over ${ranks}`, made(zigzagLayout(24, ranks))] as const,
  [`contiguous over ${ranks}, nothing`, made(contiguousLayout(0, ranks))] as const,
  ...[1, 2, 3].map(
    (ulysses) => [`${ranks} × ${ulysses}`, made(twoDimensionalLayout(72, { ring: ranks, ulysses }))] as const,
  ),
]);

test.each(layouts)('%s is a bijection', (_, layout) => {
  const { tokens, ranks, placeOf, tokenAt } = layout;
  const places = Array.from({ length: tokens }, (_, token) => placeOf(token));
  expect(places.map(tokenAt)).toEqual(places.map((_, token) => token));
  const within = ({ rank, position }: { rank: number; position: number }): boolean =>
    rank >= 0 && rank < ranks && position >= 0 && position < tokens / ranks;
  expect(places.every(within)).toBe(true);
  expect(tokensOf(layout).flat()).toHaveLength(tokens);
  expect(new Set(tokensOf(layout).flat()).size).toBe(tokens);
});

test('the layouts as they are drawn', () => {
  expect(tokensOf(made(contiguousLayout(8, 2)))).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ]);
  expect(tokensOf(made(stripedLayout(8, 2)))).toEqual([
    [0, 2, 4, 6],
    [1, 3, 5, 7],
  ]);
  expect(tokensOf(made(zigzagLayout(8, 2)))).toEqual([
    [0, 1, 6, 7],
    [2, 3, 4, 5],
  ]);
  expect(tokensOf(made(twoDimensionalLayout(8, { ring: 2, ulysses: 2 })))).toEqual([
    [0, 1],
    [6, 7],
    [2, 3],
    [4, 5],
  ]);
});

test('two-dimensional is zigzag without exchange of heads, and contiguous without a ring', () => {
  expect(tokensOf(made(twoDimensionalLayout(24, { ring: 3, ulysses: 1 })))).toEqual(
    tokensOf(made(zigzagLayout(24, 3))),
  );
  expect(tokensOf(made(twoDimensionalLayout(24, { ring: 1, ulysses: 3 })))).toEqual(
    tokensOf(made(contiguousLayout(24, 3))),
  );
});

test('zigzag gives every rank the same work, in order and striped do not', () => {
  for (const ranks of [2, 3, 4, 8]) {
    const different = (layout: SequenceLayout | ChangeFault): number => new Set(workOf(made(layout))).size;
    expect(different(zigzagLayout(48, ranks))).toBe(1);
    expect(different(contiguousLayout(48, ranks))).toBe(ranks);
    expect(different(stripedLayout(48, ranks))).toBe(ranks);
  }
});

test('in order, 8 devices are used for 53 % of the time', () => {
  const work = workOf(made(contiguousLayout(512, 8)));
  const mean = work.reduce((sum, one) => sum + one, 0) / work.length;
  expect(mean / Math.max(...work)).toBeCloseTo(4 / 7.5, 2);
});

// ── what a ring computes, by positions alone ───────────────────────────────────────────────────────────────

/** Whether a query sees a key, of which the one is at local positions of a rank, the other of its source. */
type Mask = (rank: number, source: number, query: number, key: number, length: number) => boolean;

/** Both chunks causally at home; from earlier ranks the early keys; from later ones for the late queries. */
const zigzagMask: Mask = (rank, source, query, key, length) => {
  if (source === rank) return key <= query;
  return source < rank ? key < length / 2 : query >= length / 2;
};

/** From earlier ranks causally with the diagonal, from later ones without. */
const stripedMask: Mask = (rank, source, query, key) => (source <= rank ? key <= query : key < query);

const contiguousMask: Mask = (rank, source, query, key) => (source === rank ? key <= query : source < rank);

/** Pairs in which a ring over sequences with these tokens sees what it must not, or does not see what it must. */
function wrongPairs(sequences: readonly (readonly number[])[], mask: Mask): number {
  let wrong = 0;
  for (const [rank, queries] of sequences.entries())
    for (const [source, keys] of sequences.entries())
      for (const [at, query] of queries.entries())
        for (const [keyAt, key] of keys.entries())
          if (mask(rank, source, at, keyAt, queries.length) !== key <= query) wrong += 1;
  return wrong;
}

/** What consecutive ranks hold together after they exchanged heads. */
function exchanged(layout: SequenceLayout, ulysses: number): readonly (readonly number[])[] {
  const sequences = tokensOf(layout);
  return Array.from({ length: sequences.length / ulysses }, (_, place) =>
    sequences.slice(place * ulysses, (place + 1) * ulysses).flat(),
  );
}

test('masks by positions are causal', () => {
  for (const ranks of [1, 2, 3, 4]) {
    expect(wrongPairs(tokensOf(made(zigzagLayout(24, ranks))), zigzagMask)).toBe(0);
    expect(wrongPairs(tokensOf(made(stripedLayout(24, ranks))), stripedMask)).toBe(0);
    expect(wrongPairs(tokensOf(made(contiguousLayout(24, ranks))), contiguousMask)).toBe(0);
  }
  expect(wrongPairs(tokensOf(made(zigzagLayout(24, 2))), contiguousMask)).toBeGreaterThan(0);
});

test('in every step of a zigzag ring all ranks do the same work', () => {
  const sequences = tokensOf(made(zigzagLayout(48, 4)));
  for (const step of [0, 1, 2, 3]) {
    const work = sequences.map((queries, rank) => visiblePairs(queries, sequences[(rank - step + 4) % 4]!));
    expect(new Set(work).size).toBe(1);
  }
});

test('two-dimensional: the pair is in order after the exchange, and the ring over it is causal', () => {
  for (const ring of [1, 2, 3])
    for (const ulysses of [1, 2, 4]) {
      const sequences = exchanged(made(twoDimensionalLayout(48, { ring, ulysses })), ulysses);
      expect(sequences).toEqual(tokensOf(made(zigzagLayout(48, ring))));
      expect(wrongPairs(sequences, zigzagMask)).toBe(0);
    }
});

/**
 * A fault of a published implementation: zigzag over all ranks, and the same masks. Without exchange of heads
 * there is nothing to see.
 */
test('zigzag over all ranks, split for an exchange of heads, is seen to break causality', () => {
  const wrong = (ring: number, ulysses: number): number =>
    wrongPairs(exchanged(made(zigzagLayout(48, ring * ulysses)), ulysses), zigzagMask);
  for (const ring of [1, 2, 3]) {
    expect(wrong(ring, 1)).toBe(0);
    expect(wrong(ring, 2)).toBeGreaterThan(0);
    expect(wrong(ring, 4)).toBeGreaterThan(0);
  }
});

test('lengths that do not divide are refused', () => {
  const message = (layout: SequenceLayout | ChangeFault): string => (isFault(layout) ? layout.message : '');
  expect(message(contiguousLayout(10, 4))).toBe('10 tokens do not divide into 4 equal parts');
  expect(message(zigzagLayout(12, 4))).toBe('12 tokens do not divide into 8 equal parts');
  expect(message(stripedLayout(10, 4))).toBe('10 tokens do not divide into 4 equal parts');
  expect(message(twoDimensionalLayout(12, { ring: 2, ulysses: 8 }))).toBe(
    '12 tokens do not divide into 16 equal parts',
  );
});
