/** What is left out of a picture that is too large. */

/** A place of a row or column; undefined stands for all that are left out. */
export type Shown = number | undefined;

/** All places, or the first ones and the last, `most` with the gap between them. `most` is 3 or more. */
export function abbreviate(count: number, most: number): readonly Shown[] {
  const all = Array.from({ length: count }, (_, place) => place);
  return count <= most ? all : [...all.slice(0, most - 2), undefined, count - 1];
}

/** `5 of 16 columns`; undefined where nothing is left out. */
export function leftOut(shown: readonly Shown[], count: number, what: string): string | undefined {
  const drawn = shown.filter((place) => place !== undefined).length;
  return drawn === count ? undefined : `${drawn} of ${count} ${what}`;
}
