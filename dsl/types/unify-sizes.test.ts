import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide } from './facts.ts';
import type { Size } from './size.ts';
import {
  addSizes,
  asNatural,
  evaluateSize,
  multiplySizes,
  natural,
  parameter,
  quotient,
  showSize,
  subtractSizes,
} from './size.ts';
import { randomValues, sizeNames, sizeSamples } from './size-generators.ts';
import type { SizeEquation } from './unify-sizes.ts';
import { solveSizes } from './unify-sizes.ts';

const [D, F, G, K, N, R] = ['D', 'F', 'G', 'K', 'N', 'R'].map(parameter) as [
  Size,
  Size,
  Size,
  Size,
  Size,
  Size,
];

function shown(equations: readonly SizeEquation[], ...unknowns: readonly string[]): string {
  const solution = solveSizes(equations, new Set(unknowns));
  if (solution.kind === 'undetermined') return `undetermined ${solution.unknowns.join(', ')}`;
  if (solution.kind === 'mismatch') {
    return `${solution.equation}: ${showSize(solution.pattern)} is not ${showSize(solution.actual)}`;
  }
  const values = [...solution.values].map(([name, value]) => `${name} = ${showSize(value)}`);
  const obligations = solution.obligations.map(
    ({ left, relation, right }) => `${showSize(left)} ${relation} ${showSize(right)}`,
  );
  return [values.join(', '), ...obligations].join(' where ');
}

function equation(pattern: Size, actual: Size): SizeEquation {
  return { pattern, actual };
}

describe('solveSizes', () => {
  const groups = multiplySizes(G, R);
  const cases: readonly (readonly [string, readonly SizeEquation[], readonly string[], string])[] = [
    ['a parameter', [equation(D, natural(64))], ['D'], 'D = 64'],
    ['names of the caller are others', [equation(D, F), equation(F, D)], ['D', 'F'], 'D = F, F = D'],
    ['a parameter in terms of itself', [equation(D, addSizes(D, natural(1)))], ['D'], 'D = D + 1'],
    [
      'a product, exactly',
      [equation(groups, multiplySizes(K, N)), equation(G, K)],
      ['G', 'R'],
      'G = K, R = N',
    ],
    [
      'a product in any order',
      [equation(groups, natural(12)), equation(R, natural(3))],
      ['G', 'R'],
      'G = 4, R = 3',
    ],
    [
      'a product with an obligation',
      [equation(groups, N), equation(G, K)],
      ['G', 'R'],
      'G = K, R = N / K where K | N',
    ],
    [
      'an exact equation rather than an obligation',
      [equation(multiplySizes(natural(8), F), N), equation(F, quotient(N, natural(8)))],
      ['F'],
      'F = N / 8',
    ],
    ['a multiple', [equation(multiplySizes(natural(8), F), natural(32))], ['F'], 'F = 4'],
    ['a sum', [equation(addSizes(N, K), natural(10)), equation(N, natural(4))], ['N', 'K'], 'N = 4, K = 6'],
    ['a sum with an obligation', [equation(addSizes(N, natural(1)), K)], ['N'], 'N = K - 1 where 1 <= K'],
    ['a difference', [equation(subtractSizes(N, natural(1)), K)], ['N'], 'N = K + 1'],
    ['a quotient', [equation(quotient(F, natural(8)), N)], ['F'], 'F = 8 * N'],
    [
      'nested',
      [equation(quotient(addSizes(F, natural(1)), natural(2)), N)],
      ['F'],
      'F = 2 * N - 1 where 1 <= 2 * N',
    ],
    [
      'a sum of products',
      [equation(addSizes(multiplySizes(D, F), D), multiplySizes(D, addSizes(N, natural(1)))), equation(F, N)],
      ['D', 'F'],
      'D = D, F = N',
    ],
    [
      'sizes that are no unknowns',
      [equation(multiplySizes(parameter('sp'), D), multiplySizes(parameter('sp'), N))],
      ['D'],
      'D = N',
    ],
    ['a factor 0', [equation(groups, natural(0)), equation(G, natural(0))], ['G', 'R'], 'undetermined R'],
    [
      'a factor 0 and another equation',
      [equation(groups, natural(0)), equation(G, natural(0)), equation(R, natural(5))],
      ['G', 'R'],
      'G = 0, R = 5',
    ],
    ['a product 0', [equation(groups, natural(0)), equation(G, natural(4))], ['G', 'R'], 'G = 4, R = 0'],
    ['two unknown factors', [equation(groups, natural(12))], ['G', 'R'], 'undetermined G, R'],
    ['an unknown that occurs nowhere', [equation(D, N)], ['D', 'K'], 'undetermined K'],
    ['different sizes', [equation(D, natural(4)), equation(D, natural(5))], ['D'], '1: 4 is not 5'],
    [
      'a remainder',
      [equation(groups, natural(13)), equation(G, natural(4))],
      ['G', 'R'],
      '0: 4 * R is not 13',
    ],
    ['a negative number', [equation(addSizes(N, natural(2)), natural(1))], ['N'], '0: N + 2 is not 1'],
    [
      'a negative number where a factor is 0',
      [
        equation(addSizes(groups, multiplySizes(natural(4), G)), multiplySizes(natural(3), K)),
        equation(G, K),
      ],
      ['G', 'R'],
      '0: K * R + 4 * K is not 3 * K',
    ],
    [
      'a factor 0 of something',
      [equation(groups, natural(3)), equation(G, natural(0))],
      ['G', 'R'],
      '0: 0 is not 3',
    ],
    ['a constant', [equation(natural(3), natural(4))], [], '0: 3 is not 4'],
    [
      'a mismatch rather than an unknown',
      [equation(D, N), equation(D, K), equation(G, groups)],
      ['D', 'R'],
      '1: N is not K',
    ],
  ];
  test.each(cases)('%s', (_, equations, unknowns, expected) => {
    expect(shown(equations, ...unknowns)).toBe(expected);
  });

  const patterns = fc.array(sizeSamples(2, ['+', '*', '/']), { minLength: 1, maxLength: 5 });

  test('recovers numbers', () => {
    let solved = 0;
    fc.assert(
      fc.property(patterns, randomValues, (samples, values) => {
        const sizes = samples.map(({ value }) => value(values));
        fc.pre(sizes.every((size) => size !== undefined));
        const equations = samples.map(({ size }, position) => equation(size, natural(sizes[position]!)));
        const solution = solveSizes(equations, new Set(sizeNames));
        expect(solution.kind).not.toBe('mismatch');
        if (solution.kind !== 'solved') return;
        solved += 1;
        for (const name of sizeNames) expect(asNatural(solution.values.get(name)!)).toBe(values.get(name));
        for (const obligation of solution.obligations) expect(decide(obligation, new Map())).toBe(true);
      }),
      { numRuns: 1500 },
    );
    expect(solved).toBeGreaterThan(50);
  });

  test('finds symbolic sizes that satisfy the equations wherever the obligations hold', () => {
    let checked = 0;
    fc.assert(
      fc.property(
        patterns,
        patterns,
        fc.array(randomValues, { minLength: 20 }),
        (left, right, valuations) => {
          const equations = left.flatMap(({ size }, position) => {
            const actual = right[position];
            return actual ? [equation(size, actual.size)] : [];
          });
          const solution = solveSizes(equations, new Set(sizeNames));
          if (solution.kind !== 'solved') return;
          for (const values of valuations) {
            if (!solution.obligations.every((obligation) => decide(obligation, values) === true)) continue;
            const found = new Map<string, number>();
            for (const [name, size] of solution.values) {
              const value = evaluateSize(size, values);
              if (value !== undefined) found.set(name, value);
            }
            for (const { pattern, actual } of equations) {
              const [a, b] = [evaluateSize(pattern, found), evaluateSize(actual, values)];
              if (a === undefined || b === undefined) continue;
              expect(a).toBe(b);
              checked += 1;
            }
            expect([...found.values()].every((value) => value >= 0)).toBe(true);
          }
        },
      ),
      { numRuns: 1500 },
    );
    expect(checked).toBeGreaterThan(50);
  });
});
