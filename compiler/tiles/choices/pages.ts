/**
 * Columns of a large matrix, as a core walks down them: each step is on another page of memory, and a core
 * knows the places of few pages. So they are walked down in pieces, those of all columns one after the other.
 */

const pageBytes = 4096;

/** Pages whose places a processor has at hand: of 64 or more in its first buffer, which two threads share. */
const pagesKnown = 32;

/** What the second cache of a core holds at least. */
export const secondCacheBytes = 2 ** 19;

/** Steps of a piece; undefined where a cache holds all, or there are few pieces. Elements are of 32 bits. */
export function chunkWithinPages(columns: number, depth: number): number | undefined {
  const isFar = 4 * columns * depth > secondCacheBytes;
  const chunk = pagesKnown * Math.max(1, Math.floor(pageBytes / (4 * columns)));
  return isFar && depth >= 4 * chunk ? chunk : undefined;
}
