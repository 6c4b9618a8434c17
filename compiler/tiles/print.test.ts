/** Tile programs as text. */
import { expect, test } from 'vitest';
import { printTileProgram } from './print.ts';
import { define, program, register, spread } from './tile-builder.ts';
import { apply, constant, load, type TileExpression } from './tile-expression.ts';

function printed(value: TileExpression): string {
  const body = [define(register('x', 'f32', [spread(4, 'threads')]), value)];
  const parts = { name: 'k', grid: [], threads: { rows: 1, columns: 4 }, body, enclosing: [] };
  return printTileProgram(program(parts))
    .split('\n')
    .find((line) => line.includes('register'))!;
}

/** So many squares of a number in memory. */
function squares(count: number): TileExpression {
  let value: TileExpression = load(0, 'f32', constant(0));
  for (let square = 0; square < count; square++) value = apply('mul', 'f32', value, value);
  return value;
}

test('what is short is written out', () => {
  expect(printed(squares(2))).toBe('  register x: f32[4 threads] = ((%0[0] * %0[0]) * (%0[0] * %0[0]))');
});

test('what would be long has names for what it has twice', () => {
  const text = printed(squares(40));
  expect(text).toMatch(
    / = \(s39 \* s39\) with s0 = %0\[0\], s1 = \(s0 \* s0\), s2 = .*, s39 = \(s38 \* s38\)$/,
  );
});
