/** What is shared in an expression is written once, and anew with the next one. */
import { expect, test } from 'vitest';
import { createDomain } from '../../compiler/tiles/lanes.ts';
import { apply, constant, operandsOf, type TileExpression } from '../../compiler/tiles/tile-expression.ts';
import type { Point } from './point.ts';
import { SharedValues } from './shared-values.ts';

test('a chain of squares takes as many steps as it has', () => {
  const point: Point<never> = { domain: createDomain([]), width: 1, coordinates: [], fragment: [] };
  const shared = new SharedValues<never, number>();
  let steps = 0;
  const write = (expression: TileExpression): number =>
    shared.value(expression, point, () => {
      steps++;
      return operandsOf(expression).reduce((total, operand) => total + write(operand), 1);
    });
  let chain: TileExpression = constant(2, 'f32');
  for (let square = 0; square < 40; square++) chain = apply('mul', 'f32', chain, chain);
  expect(write(chain)).toBe(2 ** 41 - 1);
  expect(steps).toBe(41);
  write(chain);
  expect(steps).toBe(82);
});
