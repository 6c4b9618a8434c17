import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lineTable, lineText, positionAt } from './source-position.ts';

test('lines and columns count from 1, in code units', () => {
  const table = lineTable('a👍b\r\n\nlast');
  expect(positionAt(table, 0)).toEqual({ line: 1, column: 1 });
  expect(positionAt(table, 3)).toEqual({ line: 1, column: 4 });
  expect(positionAt(table, 6)).toEqual({ line: 2, column: 1 });
  expect(positionAt(table, 7)).toEqual({ line: 3, column: 1 });
  expect(positionAt(table, 99)).toEqual({ line: 3, column: 5 });
  expect(positionAt(table, -1)).toEqual({ line: 1, column: 1 });
  expect([1, 2, 3, 4].map((line) => lineText(table, line))).toEqual(['a👍b', '', 'last', '']);
});

test('positions agree with counting line breaks', () => {
  const texts = fc.string({ unit: fc.constantFrom('a', '\n', '\r\n', ' ') });
  fc.assert(
    fc.property(texts, fc.nat(), (text, seed) => {
      const offset = seed % (text.length + 1);
      const before = text.slice(0, offset).split('\n');
      const position = positionAt(lineTable(text), offset);
      expect(position).toEqual({ line: before.length, column: before.at(-1)!.length + 1 });
    }),
  );
});
