/** What the placement checker accepts is placed as it says, on every mesh, and computes the same. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { outcomeOf } from './judge-placed-source.ts';
import { tapes } from './random-placed-source.ts';

test('what the checker accepts is placed as it says, and computes the same', () => {
  fc.assert(
    fc.property(tapes, (tape) => {
      const found = outcomeOf(tape);
      if (found.kind === 'wrong') expect.fail(found.why);
    }),
    { numRuns: Number(process.env.RUNS ?? 100), interruptAfterTimeLimit: 40000 },
  );
}, 600000);

test('random programs are many, and of all kinds', () => {
  const sampled = fc.sample(tapes, { numRuns: 150, seed: 3 }).map((tape) => outcomeOf(tape));
  const counts = new Map<string, number>();
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  for (const { kind, program } of sampled) {
    count(kind);
    for (const name of program.accepted) count(`accepted ${name}`);
    for (const name of program.refused) count(`refused ${name}`);
    for (const { dims, pending } of program.results) {
      if (dims.some((list) => list.length > 0)) count('cut');
      if (pending.size > 0) count('pending');
    }
  }
  console.log(counts);
}, 600000);
