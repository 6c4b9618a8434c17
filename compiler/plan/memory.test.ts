import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type MemoryRequest, planMemory } from './memory.ts';

const requests = fc.array(
  fc
    .record({
      bytes: fc.integer({ min: 1, max: 6 }).map((words) => 4 * words),
      start: fc.integer({ min: 0, max: 12 }),
      length: fc.integer({ min: 0, max: 8 }),
      swaps: fc.boolean(),
    })
    .map(
      ({ bytes, start, length, swaps }): MemoryRequest => ({
        bytes,
        start,
        end: start + length,
        swapGroup: swaps ? bytes : undefined,
      }),
    ),
  { maxLength: 14 },
);

/** The most bytes needed at one position: no plan can do with less. */
function leastBytes(all: readonly MemoryRequest[]): number {
  const at = (position: number) =>
    all
      .filter((request) => request.start <= position && position <= request.end)
      .reduce((sum, request) => sum + request.bytes, 0);
  return Math.max(0, ...all.map((request) => at(request.start)));
}

describe('slots', () => {
  test('hold one tensor at a time, are large enough, and no larger than the tensors apart', () => {
    fc.assert(
      fc.property(requests, (all) => {
        const { slotOf, slotBytes } = planMemory(all);
        for (const [index, request] of all.entries()) {
          const slot = slotOf[index]!;
          expect(slotBytes[slot]).toBeGreaterThanOrEqual(request.bytes);
          if (request.swapGroup !== undefined) expect(slotBytes[slot]).toBe(request.bytes);
          for (const [other, neighbour] of all.entries())
            if (other < index && slotOf[other] === slot)
              expect(neighbour.end < request.start || request.end < neighbour.start).toBe(true);
        }
        const total = slotBytes.reduce((sum, bytes) => sum + bytes, 0);
        expect(total).toBeGreaterThanOrEqual(leastBytes(all));
        expect(total).toBeLessThanOrEqual(all.reduce((sum, request) => sum + request.bytes, 0));
      }),
    );
  });

  test('of a chain of layers are two', () => {
    const chain = Array.from({ length: 50 }, (_, layer) => ({
      bytes: 1024,
      start: layer,
      end: layer + 1,
      swapGroup: undefined,
    }));
    expect(planMemory(chain).slotBytes).toEqual([1024, 1024]);
  });

  test('take the tightest fit', () => {
    const free = { start: 0, end: 0, swapGroup: undefined };
    const later = { start: 1, end: 1, swapGroup: undefined };
    const plan = planMemory([
      { ...free, bytes: 400 },
      { ...free, bytes: 100 },
      { ...later, bytes: 80 },
    ]);
    expect(plan.slotOf[2]).toBe(plan.slotOf[1]);
  });
});
