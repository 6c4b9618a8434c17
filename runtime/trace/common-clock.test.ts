import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inProcess } from '../mesh/in-process.ts';
import { clockDifference, commonClock, type Passage } from './common-clock.ts';

/** Two ranks come to a barrier at these times, and leave so much after both have come, by a true clock. */
interface Round {
  readonly own: number;
  readonly other: number;
  readonly ownDelay: number;
  readonly otherDelay: number;
}

const rounds: fc.Arbitrary<Round[]> = fc.array(
  fc.record({ own: fc.nat(1e6), other: fc.nat(1e6), ownDelay: fc.nat(1e5), otherDelay: fc.nat(1e5) }),
  { minLength: 1, maxLength: 8 },
);

/** What the two see, where the clock of the first is ahead. */
function passages(all: readonly Round[], ahead: number): { readonly own: Passage; readonly other: Passage } {
  const last = all.map(({ own, other }) => Math.max(own, other));
  return {
    own: {
      came: all.map(({ own }) => own + ahead),
      left: all.map(({ ownDelay }, place) => last[place]! + ownDelay + ahead),
    },
    other: {
      came: all.map(({ other }) => other),
      left: all.map(({ otherDelay }, place) => last[place]! + otherDelay),
    },
  };
}

/** Further apart than what may pass between coming and leaving. */
const apart = fc.integer({ min: 2e6, max: 1e12 });

test('clocks that are apart are brought together to within what is said', () => {
  fc.assert(
    fc.property(rounds, apart, fc.boolean(), (all, distance, isBehind) => {
      const ahead = isBehind ? -distance : distance;
      const { own, other } = passages(all, ahead);
      const found = clockDifference(own, other);
      expect(Math.abs(found.ahead - ahead)).toBeLessThanOrEqual(found.uncertainty);
      const turned = clockDifference(other, own);
      expect(Math.abs(turned.ahead - ahead)).toBeGreaterThan(turned.uncertainty);
    }),
  );
});

test('a clock that is shared stays as it is', () => {
  fc.assert(
    fc.property(rounds, (all) => {
      const { own, other } = passages(all, 0);
      expect(clockDifference(own, other)).toEqual({ ahead: 0, uncertainty: 0 });
    }),
  );
});

test('ranks of one process have one clock', async () => {
  const clocks = await Promise.all(inProcess(3).map(commonClock));
  expect(clocks.map(({ uncertainty }) => uncertainty)).toEqual([0, 0, 0]);
  const times = clocks.map(({ now }) => now());
  expect(times).toEqual(times.toSorted((left, right) => left - right));
});
