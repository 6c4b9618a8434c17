import { expect, test } from 'vitest';
import type { Placement } from '../../dsl/placement/placement.ts';
import { applyChange, divides, isFault } from './change.ts';
import { elementsToFetch } from './elements-to-fetch.ts';
import { allChanges, allPlacements, meshOf } from './testing.ts';
import { trafficOf } from './traffic.ts';

const mesh = meshOf({ a: 3, b: 2 });
const axes = ['a', 'b'];
const shape = [6, 12];
const elementBytes = 1;
const placements = allPlacements(2, axes).filter((placement) => divides(shape, placement, mesh));

/** Steps after which the bound is lower than before by more than was sent. A mask is taken only to the goal. */
function inconsistent(boundTo: (to: Placement) => (placement: Placement) => number): number {
  let found = 0;
  for (const to of placements) {
    const bound = boundTo(to);
    for (const placement of placements)
      for (const change of allChanges(2, axes)) {
        const after = applyChange(placement, change, mesh);
        const strays = change.kind === 'mask' && change.axes.some((axis) => !to.pending.has(axis));
        if (isFault(after) || strays || !divides(shape, after, mesh)) continue;
        const { bytes } = trafficOf(change, { shape, placement, elementBytes }, mesh);
        if (bound(placement) - bound(after) > bytes) found += 1;
      }
  }
  return found;
}

test('no step fetches more than it sends, and nothing is missing at the goal', () => {
  const bound = (to: Placement): ((placement: Placement) => number) => elementsToFetch(to, shape, axes, mesh);
  for (const to of placements) expect(bound(to)(to)).toBe(0);
  expect(inconsistent(bound)).toBe(0);
});

test('a bound that asks for too much is seen', () => {
  const tooMuch = (to: Placement): ((placement: Placement) => number) => {
    const bound = elementsToFetch(to, shape, axes, mesh);
    return (placement) => 1.1 * bound(placement);
  };
  expect(inconsistent(tooMuch)).toBeGreaterThan(0);
});
