/** Where an invocation computes. */
import type { Domain } from '../../compiler/tiles/lanes.ts';
import type { Keyed, Linear } from './linear.ts';

/** A place in a domain: one register or four neighbours, or one unit of a shared tile. */
export interface Point<V extends Keyed> {
  readonly domain: Domain;
  /** 1 asks for the first of the four neighbours of a domain of vectors. */
  readonly width: 1 | 4;
  /** Along each axis. */
  readonly coordinates: readonly Linear<V>[];
  /** Along each axis which of the invocation's elements it is; undefined in a shared tile. */
  readonly fragment: readonly number[] | undefined;
}

const firsts = new WeakMap<object, unknown>();

/**
 * The first of the point's four neighbours: always the same object, so that what is known of it is found
 * again.
 */
export function first<V extends Keyed>(point: Point<V>): Point<V> {
  if (point.width === 1) return point;
  const known = (firsts.get(point) as Point<V> | undefined) ?? { ...point, width: 1 };
  firsts.set(point, known);
  return known;
}
