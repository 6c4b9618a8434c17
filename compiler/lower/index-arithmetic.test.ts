import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Scalar } from '../graph/graph.ts';
import { apply, integer, iterator, mapScalar, scalarKey, subexpressions } from '../graph/scalar.ts';
import { indexArithmetic } from './index-arithmetic.ts';

const extents = [5, 7, 3, 1];
const arithmetic = indexArithmetic({ extent: (axis) => extents[axis]!, count: () => 4 });

function evaluate(scalar: Scalar, axes: readonly number[]): number {
  switch (scalar.op) {
    case 'constant':
      return scalar.value;
    case 'iterator':
      return axes[scalar.axis]!;
    case 'apply': {
      const [left, right, third] = scalar.operands.map((operand) => evaluate(operand, axes)) as [
        number,
        number,
        number,
      ];
      switch (scalar.function) {
        case 'add':
          return (left + right) | 0;
        case 'sub':
          return (left - right) | 0;
        case 'neg':
          return -left | 0;
        case 'mul':
          return Math.imul(left, right);
        case 'floordiv':
          return Math.floor(left / right);
        case 'mod':
          return left - right * Math.floor(left / right);
        case 'min':
          return Math.min(left, right);
        case 'max':
          return Math.max(left, right);
        case 'lt':
          return Number(left < right);
        case 'le':
          return Number(left <= right);
        case 'eq':
          return Number(left === right);
        case 'ne':
          return Number(left !== right);
        case 'select':
          return left === 1 ? right : third;
        default:
          throw new Error(scalar.function);
      }
    }
    default:
      throw new Error(scalar.op);
  }
}

const integers: fc.Arbitrary<Scalar> = fc.letrec<{ scalar: Scalar }>((tie) => ({
  scalar: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.nat(3).map(iterator),
    fc
      .oneof(fc.integer({ min: -20, max: 20 }), fc.constantFrom(2 ** 31 - 1, -(2 ** 31), 2 ** 30))
      .map(integer),
    fc
      .tuple(fc.constantFrom('add', 'sub', 'mul', 'min', 'max'), tie('scalar'), tie('scalar'))
      .map(([name, left, right]) => apply(name, left, right)),
    fc
      .tuple(fc.constantFrom('floordiv', 'mod'), tie('scalar'), fc.integer({ min: 1, max: 12 }))
      .map(([name, left, divisor]) => apply(name, left, integer(divisor))),
    fc
      .tuple(fc.constantFrom('lt', 'le', 'eq', 'ne'), tie('scalar'), tie('scalar'), tie('scalar'))
      .map(([name, left, right, third]) => apply('select', apply(name, left, right), left, third)),
  ),
})).scalar;

const positions = fc.tuple(fc.nat(4), fc.nat(6), fc.nat(2), fc.nat(0));

test('simplifying keeps every value, wrapped ones too', () => {
  let changed = 0;
  fc.assert(
    fc.property(integers, fc.array(positions, { minLength: 4, maxLength: 12 }), (scalar, places) => {
      const simple = mapScalar(scalar, arithmetic.simplify);
      if (scalarKey(simple) !== scalarKey(scalar)) changed++;
      for (const place of places) expect(evaluate(simple, place)).toBe(evaluate(scalar, place));
    }),
    { numRuns: 2000 },
  );
  expect(changed).toBeGreaterThan(500);
});

test('an interval holds all values', () => {
  fc.assert(
    fc.property(integers, positions, (scalar, place) => {
      const { low, high } = arithmetic.interval(scalar);
      const value = evaluate(scalar, place);
      expect(value >= low && value <= high).toBe(true);
    }),
    { numRuns: 1000 },
  );
});

const divisions = (scalar: Scalar): number =>
  subexpressions(scalar).filter((part) => part.op === 'apply' && /floordiv|mod/.test(part.function)).length;

test('what a product dimension splits comes together again', () => {
  const [s, h, r] = [iterator(0), iterator(1), iterator(2)];
  const parts = [s, h, r];
  const factors = [5, 7, 3];
  const merged = arithmetic.merge(parts, factors);
  expect(divisions(merged)).toBe(0);
  expect(arithmetic.split(merged, factors)).toEqual(parts);
  // The other way, of an index that goes through all of it.
  const whole = indexArithmetic({ extent: () => 105, count: () => 1 });
  const split = whole.split(iterator(0), factors);
  expect(divisions(split[1]!)).toBe(2);
  expect(whole.merge(split, factors)).toEqual(iterator(0));
});

test('a part of a sum that is a multiple leaves the division', () => {
  const [s, h] = [iterator(0), iterator(1)];
  const sum = arithmetic.add(arithmetic.scale(s, 22), h);
  expect(arithmetic.floordiv(sum, 22)).toEqual(s);
  expect(arithmetic.mod(sum, 22)).toEqual(h);
  expect(arithmetic.mod(sum, 11)).toEqual(h);
  expect(arithmetic.floordiv(sum, 11)).toEqual(arithmetic.scale(s, 2));
});

test('empty dimensions split without a division by zero', () => {
  const parts = arithmetic.split(iterator(0), [3, 0]);
  expect(parts).toHaveLength(2);
  expect(parts.every((part) => divisions(part) === 0)).toBe(true);
});

test('what splits an index of an empty dimension depends on it, and comes together again', () => {
  for (const factors of [
    [3, 0],
    [0, 0],
    [0, 3],
    [2, 0, 3],
  ]) {
    const parts = arithmetic.split(iterator(0), factors);
    expect(arithmetic.merge(parts, factors)).toEqual(iterator(0));
    for (const part of parts)
      expect(subexpressions(part).filter(({ op }) => op === 'iterator')).not.toEqual([]);
  }
});
