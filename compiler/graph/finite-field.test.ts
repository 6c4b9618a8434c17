import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Strided } from './algebra.ts';
import {
  type FieldElement,
  type FieldValue,
  type FiniteField,
  finiteField,
  primePairs,
} from './finite-field.ts';
import { float64 } from './float64.ts';
import { residuesModulo } from './residues.ts';

const field = finiteField();
const { functions, constant, relation } = field;
const { p, q } = primePairs[0]!;
const [bigP, bigQ] = [BigInt(p), BigInt(q)];

// ── against arithmetic in integers of any length ───────────────────────────────────────────────────────────

function remainder(value: bigint, modulus: bigint): bigint {
  return ((value % modulus) + modulus) % modulus;
}

function bigPower(base: bigint, exponent: bigint, modulus: bigint): bigint {
  if (exponent === 0n) return 1n;
  const half = bigPower(base, exponent / 2n, modulus);
  return (half * half * (exponent % 2n === 1n ? base : 1n)) % modulus;
}

/** By the bits of the double: its mantissa times a power of two. */
function bigResidue(value: number, modulus: bigint): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = (bits >> 52n) & 0x7ffn;
  const fraction = bits & 0xfffffffffffffn;
  const mantissa = biased === 0n ? fraction : fraction | (1n << 52n);
  const exponent = (biased === 0n ? 1n : biased) - 1075n;
  const two = exponent < 0n ? bigPower(2n, modulus - 2n, modulus) : 2n;
  const size = exponent < 0n ? -exponent : exponent;
  return remainder((value < 0 ? -1n : 1n) * mantissa * bigPower(two, size, modulus), modulus);
}

function isPrime(number: number): boolean {
  for (let factor = 2; factor * factor <= number; factor++) if (number % factor === 0) return false;
  return number > 1;
}

test.each(primePairs)('$p and $q are primes with what is asked of them', ({ p, q }) => {
  expect([isPrime(p), isPrime(q), p === 2 * q + 1, p < 2 ** 26, p % 4, q % 4]).toEqual(
    [true, true, true, true, 3, 3], // biome-ignore format: one thing
  );
  expect(bigPower(4n, BigInt(q), BigInt(p))).toBe(1n);
});

describe.each([p, q])('residues modulo %d', (modulus) => {
  const residues = residuesModulo(modulus);
  const big = BigInt(modulus);
  const residue = fc.nat(modulus - 1);

  test('are those of integers', () => {
    fc.assert(
      fc.property(residue, residue, fc.nat(2 ** 31), (left, right, exponent) => {
        const [a, b] = [BigInt(left), BigInt(right)];
        expect(BigInt(residues.add(left, right))).toBe(remainder(a + b, big));
        expect(BigInt(residues.sub(left, right))).toBe(remainder(a - b, big));
        expect(BigInt(residues.mul(left, right))).toBe(remainder(a * b, big));
        expect(BigInt(residues.power(left, exponent))).toBe(bigPower(a, BigInt(exponent), big));
        expect(residues.mul(residues.inverse(left), left)).toBe(left === 0 ? 0 : 1);
      }),
      { numRuns: 2000 },
    );
  });

  test('of doubles are those of the rational numbers that they are', () => {
    const double = fc.double({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(double, (value) => {
        expect(BigInt(residues.ofNumber(value))).toBe(bigResidue(value, big));
      }),
      { numRuns: 2000 },
    );
  });
});

// ── laws ───────────────────────────────────────────────────────────────────────────────────────────────────

const dyadic = fc.integer({ min: -64, max: 64 }).map((number) => number / 8);
const value = dyadic.map(constant);
/** With what sums and products lead to. */
const deepValue: fc.Arbitrary<FieldValue> = fc
  .tuple(fc.constantFrom('plain', 'exp', 'tanh', 'log', 'sqrt', 'sin'), value, value)
  .map(([kind, left, right]) => {
    const { add, mul, exp, tanh, log, sqrt, sin } = functions;
    const positive = add(mul(right, right), constant(1));
    const made = { plain: left, exp: exp(left), tanh: tanh(left), log: log(positive), sqrt: sqrt(positive) };
    return kind === 'sin' ? sin(left) : add(mul(made[kind as keyof typeof made], right), left);
  });

type Law = (
  x: FieldValue,
  y: FieldValue,
  z: FieldValue,
  f: typeof functions,
) => readonly [FieldValue, FieldValue];

const laws: { readonly [name: string]: Law } = {
  'sums are associative': (x, y, z, { add }) => [add(add(x, y), z), add(x, add(y, z))],
  'products are distributive': (x, y, z, { add, mul }) => [mul(x, add(y, z)), add(mul(x, y), mul(x, z))],
  'quotients are products with reciprocals': (x, y, _, { div, mul }) => [
    div(x, y),
    mul(x, div(constant(1), y)),
  ],
  'exp of a difference': (x, y, z, { exp, sub, mul }) => [
    mul(exp(sub(x, y)), exp(sub(y, z))),
    exp(sub(x, z)),
  ],
  'exp of a negative': (x, _, __, { exp, neg, div }) => [exp(neg(x)), div(constant(1), exp(x))],
  'softmax may be shifted': (x, y, z, { exp, sub, add, div }) => {
    const softmax = (top: FieldValue): FieldValue => {
      const [first, second] = [exp(sub(x, top)), exp(sub(y, top))];
      return div(first, add(first, second));
    };
    return [softmax(x), softmax(z)];
  },
  'tanh by exponentials': (x, _, __, { exp, sub, neg, div, tanh }) => {
    const [up, down] = [exp(sub(x, constant(0))), exp(neg(x))];
    return [tanh(x), div(sub(up, down), functions.add(up, down))];
  },
  'tanh is a sigmoid': (x, _, __, { exp, sub, add, div, mul, tanh }) => {
    const power = exp(sub(constant(0), x));
    const sigmoid = div(constant(1), add(constant(1), mul(power, power)));
    return [tanh(x), sub(mul(constant(2), sigmoid), constant(1))];
  },
  'exp of log': (x, _, __, { add, mul, exp, log }) => {
    const positive = add(constant(1), mul(x, x));
    return [exp(log(positive)), positive];
  },
  'log of a sum of exponentials may be shifted': (x, y, z, { add, sub, exp, log }) => [
    log(add(exp(sub(x, constant(0))), exp(sub(y, constant(0))))),
    add(z, log(add(exp(sub(x, z)), exp(sub(y, z))))),
  ],
  'sin is odd': (x, _, __, { sin, neg }) => [sin(neg(x)), neg(sin(x))],
  'a square root is a power': (x, _, __, { sqrt, pow, mul }) => [
    sqrt(mul(x, x)),
    pow(mul(x, x), constant(0.5)),
  ],
  'rsqrt is one over sqrt': (x, _, __, { sqrt, rsqrt, mul, add, div }) => {
    const positive = add(constant(1), mul(x, x));
    return [rsqrt(positive), div(constant(1), sqrt(positive))];
  },
  'whole powers are products': (x, _, __, { pow, mul }) => [pow(x, constant(3)), mul(x, mul(x, x))],
};

function relationsOf(law: Law, from: fc.Arbitrary<FieldValue>, runs: number): readonly string[] {
  const found: string[] = [];
  fc.assert(
    fc.property(from, from, from, (x, y, z) => {
      const [left, right] = law(x, y, z, functions);
      found.push(relation(left, right));
    }),
    { numRuns: runs },
  );
  return found;
}

test.each(Object.entries(laws))('%s', (_, law) => {
  expect(relationsOf(law, value, 300).filter((found) => found !== 'equal')).toEqual([]);
});

/** What no power and no exponent of a sum is known of takes another way to the same exponential. */
const needExponents = new Set([
  'log of a sum of exponentials may be shifted',
  'sin is odd',
  'tanh is a sigmoid',
]);

test.each(Object.entries(laws).filter(([name]) => !needExponents.has(name)))(
  '%s, of all values',
  (_, law) => {
    const found = relationsOf(law, deepValue, 300);
    expect(found.filter((each) => each !== 'equal')).toEqual([]);
  },
);

const wrongLaws: { readonly [name: string]: Law } = {
  'exp of a sum is no sum': (x, y, _, { exp, add }) => [exp(add(x, y)), add(exp(x), exp(y))],
  'a quotient the other way around': (x, y, _, { div }) => [div(x, y), div(y, x)],
  'a softmax that is not rescaled': (x, y, z, { exp, sub, add }) => [
    add(exp(sub(x, z)), exp(sub(y, z))),
    add(exp(sub(x, y)), exp(sub(y, z))),
  ],
  'a summand too few': (x, y, _, { add }) => [add(x, y), x],
  'tanh is no sigmoid of its operand': (x, _, __, { exp, neg, add, div, tanh }) => [
    tanh(x),
    div(constant(1), add(constant(1), exp(neg(x)))),
  ],
};

test.each(Object.entries(wrongLaws))('it is seen that %s', (_, law) => {
  expect(relationsOf(law, value, 50)).toContain('different');
});

test('unknown functions are the same of the same, and nothing is said of the rest', () => {
  const { sin, add, cos, mul } = functions;
  const half = constant(0.5);
  expect(relation(sin(add(half, half)), sin(constant(1)))).toBe('equal');
  expect(relation(sin(half), sin(constant(1)))).toBe('opaque-different');
  const squares = add(mul(sin(half), sin(half)), mul(cos(half), cos(half)));
  expect(relation(squares, constant(1))).toBe('opaque-different');
});

test('logarithms of other sums are different', () => {
  expect(relation(functions.log(constant(3)), functions.log(constant(5)))).toBe('different');
});

// ── what is beyond the rationals ───────────────────────────────────────────────────────────────────────────

const infinity = constant(Number.POSITIVE_INFINITY);
const minusInfinity = constant(Number.NEGATIVE_INFINITY);
const nothing = constant(Number.NaN);

test('infinities and NaN go by IEEE 754', () => {
  const { add, sub, mul, div, exp, max, min, log, tanh } = functions;
  const zero = constant(0);
  const three = constant(3);
  const equalities: readonly (readonly [FieldValue, FieldValue])[] = [
    [exp(minusInfinity), zero],
    [exp(infinity), infinity],
    [sub(infinity, infinity), nothing],
    [mul(zero, infinity), nothing],
    [div(three, zero), infinity],
    [div(zero, zero), nothing],
    [div(three, infinity), zero],
    [max(minusInfinity, three), three],
    [min(infinity, three), three],
    [max(nothing, three), nothing],
    [max(three, nothing), nothing],
    [log(zero), minusInfinity],
    [log(constant(-2)), nothing],
    [add(minusInfinity, three), minusInfinity],
    [tanh(minusInfinity), constant(-1)],
  ];
  for (const [left, right] of equalities) expect(relation(left, right)).toBe('equal');
  expect(relation(infinity, minusInfinity)).toBe('different');
  expect(relation(nothing, three)).toBe('different');
});

test('doubles overflow and vanish where residues do not', () => {
  const { exp, mul, sub } = functions;
  const tiny = exp(constant(-1000));
  expect(tiny.number).toBe(0);
  expect(relation(tiny, constant(0))).toBe('different');
  expect(relation(mul(tiny, exp(constant(1000))), constant(1))).toBe('equal');
  expect(relation(exp(sub(constant(-1e30), constant(-1e30))), constant(1))).toBe('equal');
});

test('a zero that is none is unlucky', () => {
  const { sub, div } = functions;
  const multiple = sub(constant(p + 1), constant(1));
  expect(relation(div(constant(1), multiple), constant(1))).toBe('unlucky');
});

// ── choices ────────────────────────────────────────────────────────────────────────────────────────────────

test('numbers that rounding tells apart tie where the residues do', () => {
  const own = finiteField();
  const { add, div, sub } = own.functions;
  const [one, three] = [own.constant(1), own.constant(3)];
  const third = div(one, three);
  const thirds = add(add(third, third), third);
  const tenths = Array.from({ length: 10 }, () => div(one, own.constant(10))).reduce((sum, own) =>
    add(sum, own),
  );
  expect(own.comparisons.lt(tenths, thirds)).toBe(false);
  expect(own.comparisons.eq(tenths, thirds)).toBe(true);
  expect(own.toNumber(tenths)).toBe(1);
  expect(relation(own.functions.floor(tenths), one)).toBe('equal');
  expect(own.notes.unsure).toBe(0);
  const barely = add(tenths, own.constant(2 ** -53));
  own.comparisons.lt(barely, one);
  expect(own.notes.unsure).toBe(1);
  expect(relation(sub(tenths, thirds), own.constant(0))).toBe('equal');
});

test('a step next to a number that rounding may have moved over it is unsure', () => {
  const own = finiteField();
  const near = own.functions.sub(own.functions.exp(own.constant(2 ** -60)), own.constant(1));
  own.functions.floor(own.constant(0.25));
  expect(own.notes.unsure).toBe(0);
  own.functions.floor(near);
  expect(own.notes.unsure).toBe(1);
});

test.each<readonly [string, number, (own: FiniteField, special: FieldValue, zero: FieldValue) => void]>([
  ['an infinity times 0', 1, (own, infinity, zero) => own.functions.mul(infinity, zero)],
  ['0 times an infinity', 1, (own, infinity, zero) => own.functions.mul(zero, infinity)],
  ['an infinity over 0', 1, (own, infinity, zero) => own.functions.div(infinity, zero)],
  ['0 over 0', 1, (own, _, zero) => own.functions.div(zero, zero)],
  ['0 over an infinity', 0, (own, infinity, zero) => own.functions.div(zero, infinity)],
  ['0 times 0', 0, (own, _, zero) => own.functions.mul(zero, zero)],
  ['a sum with an infinity', 0, (own, infinity, zero) => own.functions.add(zero, infinity)],
])('%s: a law of sums of products may fail %i times', (_, times, run) => {
  const own = finiteField();
  run(own, own.constant(Number.POSITIVE_INFINITY), own.constant(0));
  expect(own.notes.singular).toBe(times);
});

test('the error holds what rounding does', () => {
  const exact = fc.array(dyadic, { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(exact, (numbers) => {
      const third = functions.div(constant(1), constant(3));
      const sum = numbers
        .map((number) => functions.mul(constant(number), third))
        .reduce((left, right) => functions.add(left, right));
      const found = functions.mul(sum, constant(3)) as FieldElement;
      const wanted = numbers.reduce((left, right) => left + right);
      expect(Math.abs(found.number - wanted)).toBeLessThanOrEqual(found.error);
      expect(found.error).toBeLessThan(1e-12);
    }),
  );
});

test('numbers are those of double precision', () => {
  for (const name of ['exp', 'log', 'sqrt', 'rsqrt', 'tanh', 'erf', 'sin', 'cos', 'floor', 'abs'] as const)
    expect(functions[name](constant(1.75)).number).toBe(float64.functions[name](1.75));
});

test('products summed at once are those summed one by one', () => {
  const strided = (data: FieldValue[], stride: number): Strided<FieldValue> => ({ data, offset: 0, stride });
  fc.assert(
    fc.property(fc.array(fc.tuple(deepValue, value), { maxLength: 8 }), value, (pairs, start) => {
      const left = pairs.map(([own]) => own);
      const right = pairs.flatMap(([, own]) => [own, constant(7)]);
      const found = field.dot!(start, strided(left, 1), strided(right, 2), pairs.length);
      const wanted = pairs.reduce((sum, [a, b]) => functions.add(sum, functions.mul(a, b)), start);
      expect(found).toMatchObject({ image: (wanted as FieldElement).image });
      expect((found as FieldElement).exponent).toBe((wanted as FieldElement).exponent);
      expect(found.number).toBeCloseTo(wanted.number, 9);
    }),
  );
});

test('big residues are what the images are', () => {
  const image = (functions.exp(constant(2.5)) as FieldElement).image;
  expect(BigInt(image)).toBe(bigPower(4n, bigResidue(2.5, bigQ), bigP));
});
