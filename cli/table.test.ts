import { expect, test } from 'vitest';
import { alignColumns, counted, countText } from './table.ts';

test('columns are as wide as their widest cell, with nothing behind the last', () => {
  const rows = [['node', 'FLOPs'], ['map', '1'], ['attention']];
  expect(alignColumns(rows, ['left', 'right'])).toEqual([
    'node       FLOPs',
    'map            1',
    'attention',
  ]);
});

test('counts have three digits and a prefix', () => {
  expect([0, 7, 999, 1000, 20480, 3.2e12, 5e20].map(countText)).toEqual([
    '0',
    '7',
    '999',
    '1.00 k',
    '20.5 k',
    '3.20 T',
    '500 E',
  ]);
});

test('999.7 thousand is not a thousand thousand', () => {
  expect(countText(999_700)).toBe('1.00 M');
});

test('one is not many', () => {
  expect([counted(1, 'launch', 'es'), counted(0, 'kernel')]).toEqual(['1 launch', '0 kernels']);
});
