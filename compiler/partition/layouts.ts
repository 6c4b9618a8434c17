/**
 * Which device holds which token of a sequence. Under a causal mask later tokens see more, so that a sequence
 * cut in order gives the last device the most to do; the other layouts even this out. A layout is a bijection
 * between tokens and (rank, local position), and each rank holds equally many tokens.
 */
import type { ChangeFault } from './change.ts';
import type { SequenceDegrees } from './scheme-traffic.ts';

export interface TokenPlace {
  readonly rank: number;
  readonly position: number;
}

export interface SequenceLayout {
  readonly tokens: number;
  readonly ranks: number;
  readonly placeOf: (token: number) => TokenPlace;
  readonly tokenAt: (place: TokenPlace) => number;
}

/** Rank r holds the r-th of equal parts. */
export function contiguousLayout(tokens: number, ranks: number): SequenceLayout | ChangeFault {
  const length = tokens / ranks;
  return (
    doesNotDivide(tokens, ranks) ?? {
      tokens,
      ranks,
      placeOf: (token) => ({ rank: Math.floor(token / length), position: token % length }),
      tokenAt: ({ rank, position }) => rank * length + position,
    }
  );
}

/**
 * Of 2R chunks rank r holds chunk r and then chunk 2R − 1 − r (zhuzilin/ring-flash-attention): an early and a
 * late one, so that all ranks see equally much, in every step of a ring.
 */
export function zigzagLayout(tokens: number, ranks: number): SequenceLayout | ChangeFault {
  const length = tokens / (2 * ranks);
  return (
    doesNotDivide(tokens, 2 * ranks) ?? {
      tokens,
      ranks,
      placeOf(token) {
        const chunk = Math.floor(token / length);
        const isLate = chunk >= ranks;
        return {
          rank: isLate ? 2 * ranks - 1 - chunk : chunk,
          position: (token % length) + (isLate ? length : 0),
        };
      },
      tokenAt: ({ rank, position }) =>
        position < length ? rank * length + position : (2 * ranks - 2 - rank) * length + position,
    }
  );
}

/** Token i is on rank i mod R (Brandon et al., "Striped Attention", 2023). */
export function stripedLayout(tokens: number, ranks: number): SequenceLayout | ChangeFault {
  return (
    doesNotDivide(tokens, ranks) ?? {
      tokens,
      ranks,
      placeOf: (token) => ({ rank: token % ranks, position: Math.floor(token / ranks) }),
      tokenAt: ({ rank, position }) => position * ranks + rank,
    }
  );
}

/**
 * Zigzag over R places of a ring, and the pair of chunks at each cut in order into U parts. Rank r·U + u
 * holds part u at place r: those that exchange heads are consecutive ranks, and afterwards hold the whole
 * pair in order; those that form a ring are U apart. Zigzag over all R·U ranks instead would leave the
 * exchanged parts out of order, and a mask by positions then lets tokens see the future.
 */
export function twoDimensionalLayout(
  tokens: number,
  { ulysses, ring }: SequenceDegrees,
): SequenceLayout | ChangeFault {
  const pairs = zigzagLayout(tokens, ring);
  const length = tokens / (ring * ulysses);
  if ('fault' in pairs) return pairs;
  return (
    doesNotDivide(tokens, ring * ulysses) ?? {
      tokens,
      ranks: ring * ulysses,
      placeOf(token) {
        const { rank, position } = pairs.placeOf(token);
        return { rank: rank * ulysses + Math.floor(position / length), position: position % length };
      },
      tokenAt: ({ rank, position }) =>
        pairs.tokenAt({
          rank: Math.floor(rank / ulysses),
          position: (rank % ulysses) * length + position,
        }),
    }
  );
}

function doesNotDivide(tokens: number, parts: number): ChangeFault | undefined {
  if (tokens % parts === 0) return undefined;
  return { fault: 'does not divide', message: `${tokens} tokens do not divide into ${parts} equal parts` };
}
