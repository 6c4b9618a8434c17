/** Results of 32 bits where matrix units left them: an invocation has two neighbours of each eight. */
import { createDomain, divisorOf, laneStride, neighbours } from '../../../compiler/tiles/lanes.ts';
import type { StatementOf } from '../../../compiler/tiles/tile-program.ts';
import { bufferOf, type Emission } from './emission.ts';
import { emit, linear } from './expressions.ts';
import { storePair } from './memory.ts';
import { bytesOf } from './narrow.ts';
import { registerPoints } from './register-tiles.ts';
import type { Value } from './values.ts';

type Store = StatementOf<'store'>;

/** Whether they are neighbours in memory too, at even places, and both are stored or neither. */
export function isOfPairs(emission: Emission, { tensor, axes, offset, mask }: Store): boolean {
  const { dtype } = bufferOf(emission, tensor).tensor;
  if (axes.at(-1)?.over !== 'unitColumns' || bytesOf(dtype) !== 4) return false;
  const two = neighbours(axes, 2);
  const isAligned = laneStride(offset, two) === 1 && divisorOf(offset, two) % 2 === 0;
  return isAligned && (mask === undefined || laneStride(mask, two) === 0);
}

export function storePairs(emission: Emission, { tensor, axes, offset, value, mask }: Store): void {
  const points = registerPoints(emission, createDomain(axes));
  for (let at = 0; at < points.length; at += 2) {
    const [first, second] = [points[at]!, points[at + 1]!];
    const [low, high]: readonly Value[] = [first, second].map((point) => emit(emission, value, point)[0]);
    const guard = mask && emit(emission, mask, first)[0];
    storePair(emission, tensor, linear(emission, offset, first), [low!, high!], guard);
  }
}
