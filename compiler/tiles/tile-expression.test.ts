/** What constructors simplify has the values of what was written. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  constant,
  coordinate,
  intervalOf,
  product,
  quotient,
  remainder,
  sum,
  type TileExpression,
} from './tile-expression.ts';

/** A value for each variable and coordinate, by what they are called. */
type Values = ReadonlyMap<string, number>;

function evaluate(expression: TileExpression, values: Values): number {
  switch (expression.op) {
    case 'constant':
      return expression.value;
    case 'coordinate':
      return values.get(`coordinate ${expression.axis}`)!;
    case 'variable':
      return values.get(expression.name)!;
    case 'apply': {
      const [left, right] = expression.operands.map((operand) => evaluate(operand, values)) as [
        number,
        number,
      ];
      if (expression.function === 'add') return left + right;
      if (expression.function === 'mul') return left * right;
      if (expression.function === 'floordiv') return Math.floor(left / right);
      if (expression.function === 'mod') return left - Math.floor(left / right) * right;
      throw new Error(expression.function);
    }
    default:
      throw new Error(expression.op);
  }
}

interface Term {
  readonly expression: TileExpression;
  readonly name: string | undefined;
  readonly value: number;
}

const factor = fc.constantFrom(1, 2, 3, 4, 8, 12, 32);

const term = (position: number): fc.Arbitrary<Term> =>
  fc.oneof(
    fc
      .integer({ min: -40, max: 40 })
      .map((value) => ({ expression: constant(value), name: undefined, value })),
    fc
      .record({ extent: fc.integer({ min: 2, max: 40 }), at: fc.nat(), by: factor })
      .map(({ extent, at, by }) => ({
        expression: product(coordinate(position, extent), constant(by)),
        name: `coordinate ${position}`,
        value: at % extent,
      })),
    fc.record({ multipleOf: factor, count: fc.integer({ min: 1, max: 9 }), at: fc.nat() }).map((drawn) => {
      const { multipleOf, count, at } = drawn;
      const name = `v${position}`;
      const range = { low: 0, high: multipleOf * (count - 1) };
      const expression: TileExpression = { op: 'variable', name, range, multipleOf };
      return { expression, name, value: multipleOf * (at % count) };
    }),
  );

test('quotients and remainders of sums', () => {
  const terms = fc.tuple(term(0), term(1), term(2), term(3));
  fc.assert(
    fc.property(terms, factor, factor, (drawn, divisor, outer) => {
      const values = new Map(drawn.flatMap(({ name, value }) => (name === undefined ? [] : [[name, value]])));
      const dividend = sum(...drawn.map(({ expression }) => expression));
      const whole = evaluate(dividend, values);
      const [above, below] = [quotient(dividend, divisor), remainder(dividend, divisor)];
      expect(evaluate(above, values)).toBe(Math.floor(whole / divisor));
      expect(evaluate(below, values)).toBe(whole - Math.floor(whole / divisor) * divisor);
      const again = [quotient(sum(below, constant(1)), outer), remainder(product(above, constant(4)), outer)];
      const found = again.map((expression) => evaluate(expression, values));
      const [least, most] = [evaluate(below, values) + 1, evaluate(above, values) * 4];
      expect(found).toEqual([Math.floor(least / outer), most - Math.floor(most / outer) * outer]);
      for (const each of [dividend, above, below, ...again]) {
        const { low, high } = intervalOf(each);
        expect(evaluate(each, values)).toBeGreaterThanOrEqual(low);
        expect(evaluate(each, values)).toBeLessThanOrEqual(high);
      }
    }),
    { numRuns: 2000 },
  );
});

test('what is the same for a run of neighbours is the same expression for all of them', () => {
  const first: TileExpression = { op: 'variable', name: 'run', range: { low: 0, high: 96 }, multipleOf: 32 };
  const k: TileExpression = { op: 'variable', name: 'k', range: { low: 0, high: 28 }, multipleOf: 4 };
  const place = sum(first, k, coordinate(0, 4));
  expect(quotient(place, 32)).toEqual(quotient(first, 32));
  expect(remainder(place, 8)).toEqual(sum(remainder(k, 8), coordinate(0, 4)));
});
