/** What follows is never refuted; most of what does not is. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { withFacts } from './facts.ts';
import { isRefuted } from './models.ts';
import { addSizes, multiplySizes, natural, parameter, type Size, subtractSizes } from './size.ts';

const [A, B, C] = ['A', 'B', 'C'].map(parameter) as [Size, Size, Size];
const facts = withFacts({ nonnegative: [], divisions: [] }, [
  { relation: '<=', left: A, right: B },
  { relation: '<', left: natural(1), right: A },
  { relation: '|', left: B, right: C },
]);
const known = [subtractSizes(B, A), subtractSizes(A, natural(2)), subtractSizes(B, natural(1)), A, B, C];

test('sums and products of what is not negative are not refuted', () => {
  const picked = fc.array(fc.tuple(fc.nat(5), fc.nat(5), fc.nat(3)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(picked, (terms) => {
      const goal = terms
        .map(([one, other, factor]) =>
          multiplySizes(multiplySizes(known[one]!, known[other]!), natural(factor)),
        )
        .reduce(addSizes);
      expect(isRefuted(facts, [goal], (value) => value < 0)).toBe(false);
      expect(isRefuted(facts, [B, multiplySizes(C, goal)], (by, of) => of % by !== 0)).toBe(false);
    }),
  );
});

test('what is false of some numbers is refuted', () => {
  const isNegative = (value: number): boolean => value < 0;
  expect(isRefuted(facts, [subtractSizes(A, B)], isNegative)).toBe(true);
  expect(isRefuted(facts, [subtractSizes(C, natural(1))], isNegative)).toBe(true);
  expect(isRefuted(facts, [subtractSizes(parameter('D'), A)], isNegative)).toBe(true);
  expect(isRefuted(facts, [subtractSizes(A, parameter('D'))], isNegative)).toBe(true);
  expect(isRefuted(facts, [A, C], (by, of) => of % by !== 0)).toBe(true);
});

test('facts that contradict each other refute nothing', () => {
  const impossible = withFacts(facts, [{ relation: '<', left: B, right: A }]);
  expect(isRefuted(impossible, [subtractSizes(A, B)], (value) => value < 0)).toBe(false);
});
