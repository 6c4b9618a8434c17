import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Fact, Facts } from './facts.ts';
import { decide, noFacts, prove, withFact } from './facts.ts';
import type { Size } from './size.ts';
import { addSizes, multiplySizes, natural, parameter, quotient, subtractSizes } from './size.ts';
import { allValues, sizeSamples } from './size-generators.ts';

const [A, B, C, G, N, R] = ['A', 'B', 'C', 'G', 'N', 'R'].map(parameter) as [
  Size,
  Size,
  Size,
  Size,
  Size,
  Size,
];
const eight = natural(8);

function fact(left: Size, relation: Fact['relation'], right: Size): Fact {
  return { relation, left, right };
}

function assuming(...assumed: readonly Fact[]): Facts {
  return assumed.reduce(withFact, noFacts);
}

/** Kept small, so that random assumptions can be used for random goals. */
const sizes = sizeSamples(1, ['+', '*', '-', '/']);
const relations = fc.constantFrom<Fact['relation']>('<=', '<', '==', '|', '%');
const randomFacts = fc
  .tuple(sizes, relations, sizes)
  .map(([left, relation, right]) => fact(left.size, relation, right.size));

describe('prove', () => {
  test('is never wrong', () => {
    const everywhere = allValues(6);
    let proved = 0;
    fc.assert(
      fc.property(fc.array(randomFacts, { maxLength: 3 }), randomFacts, (assumed, goal) => {
        if (!prove(assuming(...assumed), goal)) return;
        const models = everywhere.filter((values) =>
          assumed.every((known) => decide(known, values) === true),
        );
        const wrong = models.find((values) => decide(goal, values) === false);
        expect(wrong).toBeUndefined();
        if (models.length > 0 && !prove(noFacts, goal)) proved += 1;
      }),
      { numRuns: 1000 },
    );
    expect(proved).toBeGreaterThan(5);
  });

  test('proves what was assumed', () => {
    fc.assert(
      fc.property(randomFacts, fc.array(randomFacts, { maxLength: 2 }), (assumed, others) => {
        fc.pre(prove(noFacts, fact(assumed.left, '==', assumed.left)));
        fc.pre(prove(noFacts, fact(assumed.right, '==', assumed.right)));
        expect(prove(assuming(...others, assumed), assumed)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  const half = quotient(N, natural(2));
  const proofs: readonly (readonly [string, readonly Fact[], Fact, boolean])[] = [
    ['sizes are natural', [], fact(natural(0), '<=', A), true],
    ['a size may be 0', [], fact(natural(0), '<', A), false],
    ['monotone', [], fact(A, '<=', addSizes(multiplySizes(natural(2), A), B)), true],
    ['transitivity', [fact(A, '<=', B), fact(B, '<', C)], fact(A, '<', C), true],
    ['not symmetry', [fact(A, '<=', B)], fact(B, '<=', A), false],
    ['antisymmetry', [fact(A, '<=', B), fact(B, '<=', A)], fact(A, '==', B), true],
    [
      'products grow',
      [fact(A, '<=', B), fact(G, '<=', R)],
      fact(multiplySizes(A, G), '<=', multiplySizes(B, R)),
      true,
    ],
    [
      'a pair indexes a product',
      [fact(A, '<', G), fact(B, '<', R)],
      fact(addSizes(multiplySizes(A, R), B), '<', multiplySizes(G, R)),
      true,
    ],
    [
      'products of positive sizes are positive',
      [fact(natural(0), '<', G), fact(natural(0), '<', R)],
      fact(natural(0), '<', multiplySizes(G, R)),
      true,
    ],
    [
      'two halves',
      [fact(C, '<=', A), fact(C, '<=', B)],
      fact(multiplySizes(natural(2), C), '<=', addSizes(A, B)),
      true,
    ],
    [
      'integers have no halves',
      [fact(natural(1), '<=', multiplySizes(natural(2), A))],
      fact(natural(1), '<=', A),
      true,
    ],
    ['equalities', [fact(N, '==', multiplySizes(eight, A))], fact(A, '<=', N), true],
    [
      'substituted equalities',
      [fact(A, '==', B)],
      fact(multiplySizes(A, C), '==', multiplySizes(B, C)),
      true,
    ],
    ['8 | 8 * A', [], fact(eight, '|', multiplySizes(eight, A)), true],
    ['A * 8 % 4', [], fact(multiplySizes(A, eight), '%', natural(4)), true],
    ['not 8 | 4 * A', [], fact(eight, '|', multiplySizes(natural(4), A)), false],
    ['0 divides nothing', [], fact(natural(0), '|', natural(0)), false],
    ['0 does not divide A', [], fact(natural(0), '|', A), false],
    ['A | 0', [fact(natural(1), '<=', A)], fact(A, '|', natural(0)), true],
    ['not A | 0 where A may be 0', [], fact(A, '|', natural(0)), false],
    ['not G | G * R where G may be 0', [], fact(G, '|', multiplySizes(G, R)), false],
    ['a divisor is not 0', [fact(G, '|', N)], fact(natural(1), '<=', G), true],
    ['division is transitive', [fact(A, '|', B), fact(B, '|', C)], fact(A, '|', multiplySizes(C, G)), true],
    [
      'both sides grow',
      [fact(A, '|', B), fact(natural(0), '<', G)],
      fact(multiplySizes(A, G), '|', multiplySizes(B, G)),
      true,
    ],
    [
      'products divide',
      [fact(A, '|', B), fact(G, '|', N)],
      fact(multiplySizes(A, G), '|', multiplySizes(B, N)),
      true,
    ],
    [
      '2 | A gives 8 | 4 * A',
      [fact(A, '%', natural(2))],
      fact(eight, '|', multiplySizes(natural(4), A)),
      true,
    ],
    [
      'sums divide',
      [fact(eight, '|', A), fact(natural(4), '|', B)],
      fact(natural(4), '|', addSizes(A, multiplySizes(natural(3), B))),
      true,
    ],
    ['equal sizes divide', [fact(N, '==', multiplySizes(eight, A))], fact(natural(4), '|', N), true],
    ['divisors are smaller', [fact(G, '|', N), fact(natural(0), '<', N)], fact(G, '<=', N), true],
    ['of 0 they are not', [fact(G, '|', N)], fact(G, '<=', N), false],
    ['quotients cancel', [], fact(multiplySizes(quotient(N, G), G), '==', N), true],
    ['quotients are smaller', [], fact(quotient(N, G), '<=', N), true],
    [
      'quotients grow with the numerator',
      [fact(A, '<=', B)],
      fact(quotient(A, G), '<=', quotient(B, G)),
      true,
    ],
    ['quotients divide', [fact(natural(0), '<', quotient(N, G))], fact(quotient(N, G), '|', N), true],
    ['a quotient that is spoken of is whole', [fact(half, '<=', A)], fact(natural(2), '|', N), true],
    ['differences', [fact(A, '<=', N)], fact(subtractSizes(N, A), '<=', N), true],
  ];
  test.each(proofs)('%s', (_, assumed, goal, expected) => {
    expect(prove(assuming(...assumed), goal)).toBe(expected);
  });

  test('says nothing about invalid sizes', () => {
    const large = multiplySizes(natural(2 ** 40), natural(2 ** 40));
    for (const relation of ['<=', '<', '==', '|', '%'] as const) {
      expect(prove(noFacts, fact(large, relation, large))).toBe(false);
      expect(prove(assuming(fact(large, relation, natural(1))), fact(N, '<', natural(1)))).toBe(false);
    }
  });

  test('gives up in bounded time', () => {
    const names = Array.from({ length: 24 }, (_, position) => parameter(`P${position}`));
    const assumed = names.flatMap((left) => names.map((right) => fact(left, '<=', addSizes(right, N))));
    const facts: Facts = assumed.slice(0, 120).reduce(withFact, noFacts);
    expect(prove(facts, fact(addSizes(names[0]!, multiplySizes(eight, C)), '<=', names[23]!))).toBe(false);
  });
});

test('decide', () => {
  const values = new Map([['A', 0], ['B', 12], ['C', 5]]); // biome-ignore format: one line
  const decided: readonly (readonly [Fact, boolean | undefined])[] = [
    [fact(A, '<=', B), true],
    [fact(B, '<', B), false],
    [fact(B, '==', natural(12)), true],
    [fact(natural(4), '|', B), true],
    [fact(C, '|', B), false],
    [fact(B, '%', natural(3)), true],
    [fact(A, '|', A), false],
    [fact(A, '|', B), false],
    [fact(B, '|', A), true],
    [fact(N, '<=', B), undefined],
    [fact(quotient(C, natural(2)), '<=', B), undefined],
  ];
  for (const [known, expected] of decided) expect(decide(known, values)).toBe(expected);
});
