/** Where an invocation computes. */
import type { Domain } from '../../../compiler/tiles/lanes.ts';
import type { Sum } from './emission.ts';

/** A place in a domain: one register, or four neighbours. */
export interface Point {
  readonly domain: Domain;
  /** 1 asks for the first of the four neighbours of a domain of vectors. */
  readonly width: 1 | 4;
  /** Along each axis. */
  readonly coordinates: readonly Sum[];
  /** Along each axis which of the invocation's elements it is; undefined in a shared tile. */
  readonly fragment: readonly number[] | undefined;
}

const firsts = new WeakMap<Point, Point>();

/** The first of the point's four neighbours: always the same object. */
export function first(point: Point): Point {
  if (point.width === 1) return point;
  const known = firsts.get(point) ?? { ...point, width: 1 };
  firsts.set(point, known);
  return known;
}
