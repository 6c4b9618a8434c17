import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addSizes,
  asNatural,
  divideExactly,
  evaluateSize,
  isValidSize,
  multiplySizes,
  natural,
  parameter,
  quotient,
  sameSize,
  showSize,
  sizeParameters,
  substituteSizes,
  subtractSizes,
} from './size.ts';
import { allValues, randomValues, sizeSamples } from './size-generators.ts';

const [G, R, N, F] = ['G', 'R', 'N', 'F'].map(parameter) as [Size, Size, Size, Size];
type Size = ReturnType<typeof parameter>;

const polynomials = sizeSamples(3, ['+', '-', '*']);
const expressions = sizeSamples(3, ['+', '-', '*', '/']);

describe('the normal form', () => {
  test('has the value of the expression wherever that has one', () => {
    let defined = 0;
    fc.assert(
      fc.property(expressions, randomValues, ({ size, value }, values) => {
        const expected = value(values);
        if (expected === undefined) return;
        defined += 1;
        expect(evaluateSize(size, values)).toBe(expected === 0 ? 0 : expected);
      }),
      { numRuns: 2000 },
    );
    expect(defined).toBeGreaterThan(300);
  });

  test('is a ring, and equal sizes have equal keys', () => {
    fc.assert(
      fc.property(polynomials, polynomials, polynomials, ({ size: a }, { size: b }, { size: c }) => {
        expect(addSizes(a, b).key).toBe(addSizes(b, a).key);
        expect(multiplySizes(a, b).key).toBe(multiplySizes(b, a).key);
        expect(addSizes(a, addSizes(b, c)).key).toBe(addSizes(addSizes(a, b), c).key);
        const distributed = addSizes(multiplySizes(a, b), multiplySizes(a, c));
        expect(multiplySizes(a, addSizes(b, c)).key).toBe(distributed.key);
        expect(subtractSizes(a, a).key).toBe(natural(0).key);
        expect(multiplySizes(a, natural(1)).key).toBe(a.key);
      }),
    );
  });

  test('polynomials with different keys differ somewhere', () => {
    const everywhere = allValues(6);
    fc.assert(
      fc.property(sizeSamples(2, ['+', '-', '*']), sizeSamples(2, ['+', '-', '*']), (left, right) => {
        const agree = everywhere.every((values) => left.value(values) === right.value(values));
        expect(sameSize(left.size, right.size)).toBe(agree);
      }),
      { numRuns: 300 },
    );
  });

  test('sameSize is never wrong about quotients', () => {
    const everywhere = allValues(8);
    fc.assert(
      fc.property(expressions, expressions, (left, right) => {
        if (!sameSize(left.size, right.size)) return;
        for (const values of everywhere) {
          const [a, b] = [left.value(values), right.value(values)];
          if (a !== undefined && b !== undefined) expect(a === b).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('division', () => {
  test('divideExactly undoes multiplication', () => {
    fc.assert(
      fc.property(polynomials, polynomials, ({ size: a }, { size: b }) => {
        fc.pre(b.terms.length > 0);
        expect(divideExactly(multiplySizes(a, b), b)?.key).toBe(a.key);
      }),
    );
  });

  test('a quotient times its denominator is its numerator', () => {
    fc.assert(
      fc.property(polynomials, polynomials, ({ size: a }, { size: b }) => {
        fc.pre(b.terms.length > 0);
        expect(sameSize(multiplySizes(quotient(a, b), b), a)).toBe(true);
      }),
    );
    expect(multiplySizes(addSizes(G, R), quotient(N, addSizes(G, R))).key).toBe(N.key);
  });

  test('equal quotients written differently are the same', () => {
    const eighth = quotient(N, natural(8));
    expect(sameSize(multiplySizes(G, eighth), quotient(multiplySizes(G, N), natural(8)))).toBe(true);
    expect(sameSize(eighth, quotient(N, natural(4)))).toBe(false);
  });

  test('by zero is no size', () => {
    expect(isValidSize(quotient(N, natural(0)))).toBe(false);
    expect(divideExactly(N, natural(0))).toBeUndefined();
    expect(evaluateSize(quotient(N, G), new Map([['N', 0], ['G', 0]]))).toBeUndefined(); // biome-ignore format: one line
  });

  test('is undefined where it leaves a remainder', () => {
    expect(evaluateSize(quotient(F, natural(8)), new Map([['F', 12]]))).toBeUndefined();
    expect(evaluateSize(quotient(F, natural(8)), new Map([['F', 16]]))).toBe(2);
  });
});

describe('overflow', () => {
  const large = natural(2 ** 40);
  const tooLarge = multiplySizes(large, large);

  test('gives an invalid size that stays invalid and equals nothing', () => {
    for (const size of [
      tooLarge,
      addSizes(tooLarge, N),
      multiplySizes(natural(0), tooLarge),
      natural(2 ** 53),
    ]) {
      expect(isValidSize(size)).toBe(false);
      expect(sameSize(size, size)).toBe(false);
      expect(evaluateSize(size, new Map([['N', 1]]))).toBeUndefined();
      expect(asNatural(size)).toBeUndefined();
      expect(showSize(size)).toBe('(too large)');
    }
  });

  test('of a value is undefined', () => {
    expect(evaluateSize(multiplySizes(N, large), new Map([['N', 2 ** 20]]))).toBeUndefined();
    expect(evaluateSize(multiplySizes(N, large), new Map([['N', 4]]))).toBe(2 ** 42);
  });

  test('a product that would expand without bound is invalid', () => {
    const sums = Array.from({ length: 30 }, (_, i) => addSizes(parameter(`A${i}`), parameter(`B${i}`)));
    expect(isValidSize(sums.reduce(multiplySizes))).toBe(false);
  });
});

test('substitution is evaluation in two steps', () => {
  // Small, so that no power of the expanded replacement leaves 2^53 where the sum of all does not.
  const replacements = sizeSamples(1, ['+', '-', '*']);
  const smallValues = fc.constantFrom(...allValues(4));
  fc.assert(
    fc.property(expressions, replacements, smallValues, ({ size, value }, replacement, values) => {
      const inner = replacement.value(values);
      fc.pre(inner !== undefined && inner >= 0);
      const expected = value(new Map([...values, ['A', inner!]]));
      if (expected === undefined) return;
      const substituted = substituteSizes(size, new Map([['A', replacement.size]]));
      fc.pre(isValidSize(substituted));
      expect((evaluateSize(substituted, values) ?? Number.NaN) - expected).toBe(0);
    }),
    { numRuns: 1000 },
  );
});

test('substitution is simultaneous', () => {
  const swapped = substituteSizes(subtractSizes(G, R), new Map([['G', R], ['R', G]])); // biome-ignore format: one line
  expect(showSize(swapped)).toBe('R - G');
});

test('sizes are shown as source', () => {
  const shown: readonly (readonly [Size, string])[] = [
    [multiplySizes(R, G), 'G * R'],
    [addSizes(multiplySizes(natural(2), F), natural(1)), '2 * F + 1'],
    [quotient(F, natural(8)), 'F / 8'],
    [quotient(addSizes(N, F), G), '(F + N) / G'],
    [quotient(N, multiplySizes(G, R)), 'N / (G * R)'],
    [multiplySizes(natural(3), quotient(F, natural(8))), '3 * (F / 8)'],
    [multiplySizes(G, quotient(F, natural(8))), '(F / 8) * G'],
    [subtractSizes(natural(1), N), '1 - N'],
    [natural(0), '0'],
    [quotient(addSizes(multiplySizes(natural(8), F), G), natural(8)), 'G / 8 + F'],
    [quotient(quotient(N, natural(8)), natural(2)), 'N / 16'],
    [quotient(multiplySizes(natural(6), F), natural(4)), '3 * F / 2'],
  ];
  for (const [size, text] of shown) expect(showSize(size)).toBe(text);
});

test('sizeParameters looks into quotients', () => {
  expect([...sizeParameters(addSizes(quotient(N, G), R))].sort()).toEqual(['G', 'N', 'R']);
});

test('asNatural', () => {
  expect(asNatural(natural(7))).toBe(7);
  expect(asNatural(natural(0))).toBe(0);
  expect(asNatural(subtractSizes(natural(1), natural(2)))).toBeUndefined();
  expect(asNatural(N)).toBeUndefined();
});
