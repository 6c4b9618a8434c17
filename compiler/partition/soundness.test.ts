/** What the placement checker accepts is placed as it says, on every mesh, and computes the same. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { outcomeOf } from './judge-placed-source.ts';
import { tapes } from './random-placed-source.ts';

const programs = 80;

/** At least so often in so many programs. */
const wanted: Readonly<Record<string, number>> = {
  right: programs / 3,
  cut: programs / 2,
  pending: programs / 16,
  'accepted comprehension': programs / 2,
  'accepted collective': programs / 8,
  'accepted call': programs / 10,
  'refused comprehension': 2,
};

test('what the checker accepts is placed as it says, and computes the same', () => {
  const counts = new Map<string, number>();
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  fc.assert(
    fc.property(tapes, (tape) => {
      const { program, ...found } = outcomeOf(tape);
      if (found.kind === 'wrong') expect.fail(found.why);
      count(found.kind);
      for (const name of program.accepted) count(`accepted ${name}`);
      for (const name of program.refused) count(`refused ${name}`);
      if (program.results.some(({ dims }) => dims.some((list) => list.length > 0))) count('cut');
      if (program.results.some(({ pending }) => pending.size > 0)) count('pending');
    }),
    { numRuns: programs },
  );
  for (const [what, times] of Object.entries(wanted))
    expect(counts.get(what) ?? 0, what).toBeGreaterThanOrEqual(times);
  // Where a value needs less of the mesh than the types say, it is less placed.
  expect(counts.get('less placed') ?? 0).toBeLessThan(programs / 20);
}, 600_000);
