import { expect, test } from 'vitest';
import type { Placement } from '../../dsl/placement/placement.ts';
import { applyChange, divides, isFault } from './change.ts';
import { elementsToCross, elementsToFetch } from './elements-to-fetch.ts';
import { placementGraph } from './placement-graph.ts';
import { allChanges, allPlacements, meshOf } from './testing.ts';
import { localElements, trafficAlong, trafficOf } from './traffic.ts';

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

/** The fewest elements that a device sends along an axis from every placement to one, by Bellman and Ford. */
function leastAcross(to: Placement, axis: string): ReadonlyMap<Placement, number> {
  const graph = placementGraph(axes, mesh);
  const left = new Map(placements.map((placement) => [graph(placement), Infinity]));
  left.set(graph(to), 0);
  for (let changed = true; changed; ) {
    changed = false;
    for (const [junction, known] of left)
      for (const road of junction.roads()) {
        const rest = left.get(road.to) ?? Infinity;
        const { placement } = junction;
        const sent = trafficAlong(road.route, localElements({ shape, placement }, mesh), 1).bytes;
        const all = rest + (road.route.axes.includes(axis) ? sent : 0);
        if (all >= known || all >= left.get(junction)!) continue;
        left.set(junction, all);
        changed = true;
      }
  }
  return new Map(placements.map((placement) => [placement, left.get(graph(placement))!]));
}

test('no plan sends less along an axis than must cross it', () => {
  let met = 0;
  for (const to of placements)
    for (const axis of axes) {
      const bound = elementsToCross(to, shape, axis, mesh);
      expect(bound(to)).toBe(0);
      for (const [placement, least] of leastAcross(to, axis)) {
        expect(bound(placement)).toBeLessThanOrEqual(least);
        if (bound(placement) === least && least > 0) met += 1;
      }
    }
  // A bound that asks for any more is therefore seen.
  expect(met).toBeGreaterThan(100);
});
