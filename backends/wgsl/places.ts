/** Where four neighbours of the tile being computed lie in an array: a storage buffer or a shared tile. */
import { linearConstant, plus } from '../writing/linear.ts';
import type { Linear } from './linear.ts';

type Four<T> = readonly [T, T, T, T];
export const lanes = [0, 1, 2, 3] as const;
type Lane = (typeof lanes)[number];

export type Places =
  | {
      readonly kind: 'strided';
      readonly first: Linear;
      readonly stride: number;
      /** The stride is 1 and the first place is a multiple of four: one access reaches them all. */
      readonly aligned: boolean;
    }
  /** One place for each. */
  | { readonly kind: 'scattered'; readonly each: Four<Linear> };

export function fromLanes<T>(of: (lane: Lane) => T): Four<T> {
  return [of(0), of(1), of(2), of(3)];
}

/** The place of one of the four. */
export function placeOf(places: Places, lane: Lane): Linear {
  return places.kind === 'strided'
    ? plus(places.first, linearConstant(lane * places.stride))
    : places.each[lane];
}
