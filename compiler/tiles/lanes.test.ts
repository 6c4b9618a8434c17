/** What is said of four neighbours is so of every integer expression, whatever the signs. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createDomain, divisorOf, laneStride } from './lanes.ts';
import { apply, constant, coordinate, type TileExpression } from './tile-expression.ts';
import type { TileAxis } from './tile-program.ts';

const axes: readonly TileAxis[] = [
  { over: 'whole', block: 1, extent: 3 },
  { over: 'whole', block: 16, extent: 16 },
];
const variable: TileExpression = { op: 'variable', name: 'k', range: { low: -64, high: 64 }, multipleOf: 8 };

interface Place {
  readonly row: number;
  readonly column: number;
  readonly k: number;
}

const functions = {
  add: (left, right) => left + right,
  sub: (left, right) => left - right,
  mul: (left, right) => left * right + 0,
  min: Math.min,
  max: Math.max,
  // No zero has a sign among integers.
  floordiv: (left, right) => Math.floor(left / right) + 0,
  mod: (left, right) => left - Math.floor(left / right) * right,
  lt: (left, right) => Number(left < right),
} satisfies Record<string, (left: number, right: number) => number>;

function evaluate(expression: TileExpression, place: Place): number {
  if (expression.op === 'constant') return expression.value;
  if (expression.op === 'coordinate') return expression.axis === 0 ? place.row : place.column;
  if (expression.op === 'variable') return place.k;
  if (expression.op !== 'apply') throw new Error(expression.op);
  const [left, right] = expression.operands.map((operand) => evaluate(operand, place));
  return functions[expression.function as keyof typeof functions](left!, right!);
}

const leaf = fc.oneof(
  fc.constantFrom(-16, -4, -3, -1, 0, 1, 3, 4, 8, 12).map((value) => constant(value)),
  fc.constantFrom(coordinate(0, 3), coordinate(1, 16), coordinate(1, 16), variable),
);
const divisors = fc.constantFrom(-16, -8, -4, -3, 2, 4, 8, 16).map((value) => constant(value));
const expressions = fc.letrec<{ integer: TileExpression }>((tie) => ({
  integer: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc
      .tuple(fc.constantFrom('add', 'sub', 'mul', 'min', 'max'), tie('integer'), tie('integer'))
      .map(([name, left, right]) => apply(name, 'i32', left, right)),
    fc
      .tuple(fc.constantFrom('floordiv', 'mod'), tie('integer'), divisors)
      .map(([name, left, right]) => apply(name, 'i32', left, right)),
  ),
})).integer;
const conditions = fc
  .tuple(expressions, expressions)
  .map(([left, right]) => apply('lt', 'bool', left, right));
const places = fc.record({
  row: fc.integer({ min: 0, max: 2 }),
  column: fc.constantFrom(0, 4, 8, 12),
  k: fc.integer({ min: -8, max: 8 }).map((count) => count * 8),
});

test('an expression grows by its stride, from one neighbour to the next', () => {
  let [same, growing] = [0, 0];
  fc.assert(
    fc.property(fc.oneof(expressions, conditions), places, (expression, place) => {
      const stride = laneStride(expression, createDomain(axes));
      if (stride === undefined) return;
      if (stride === 0) same += 1;
      else growing += 1;
      const first = evaluate(expression, place);
      for (const lane of [1, 2, 3])
        expect(evaluate(expression, { ...place, column: place.column + lane })).toBe(
          first + lane * stride + 0,
        );
    }),
    { numRuns: 12000 },
  );
  expect(Math.min(same, growing)).toBeGreaterThan(300);
});

test('what divides an expression divides it at the first neighbour', () => {
  fc.assert(
    fc.property(expressions, places, (expression, place) => {
      const divisor = divisorOf(expression, createDomain(axes));
      const first = evaluate(expression, place);
      expect(divisor === 0 ? first : Math.abs(first % divisor)).toBe(0);
    }),
    { numRuns: 12000 },
  );
});
