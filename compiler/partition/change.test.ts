import { expect, test } from 'vitest';
import type { Placement } from '../../dsl/placement/placement.ts';
import { samePlacement } from '../../dsl/placement/placement.ts';
import type { ChangeFault, PlacementChange } from './change.ts';
import { applyChange, divides, divisionFault, isFault, localShape } from './change.ts';
import { meshOf, placed } from './testing.ts';

const mesh = meshOf({ a: 2, b: 2, c: 3 });

function message(result: object | ChangeFault | undefined): string {
  return result !== undefined && isFault(result) ? result.message : 'no fault';
}

test.each<[PlacementChange, Placement, Placement]>([
  [{ kind: 'all_gather', axes: ['b'] }, placed(['c', 'a b']), placed(['c', 'a'])],
  [{ kind: 'all_gather', axes: ['a', 'b'] }, placed(['c', 'a b']), placed(['c', ''])],
  [{ kind: 'all_gather', axes: [] }, placed(['c', 'a b']), placed(['c', 'a b'])],
  [{ kind: 'all_reduce', axes: ['a'] }, placed(['c'], { a: 'sum', b: 'sum' }), placed(['c'], { b: 'sum' })],
  [{ kind: 'all_reduce', axes: ['b', 'a'] }, placed([''], { a: 'max', b: 'max' }), placed([''])],
  [
    { kind: 'reduce_scatter', axes: ['b', 'a'], dim: 1 },
    placed(['', 'c'], { a: 'sum', b: 'sum' }),
    placed(['', 'c b a']),
  ],
  [{ kind: 'all_to_all', axes: ['b'], from: 0, to: 1 }, placed(['a b', 'c']), placed(['a', 'c b'])],
  [{ kind: 'broadcast', axes: ['b', 'c'] }, placed(['a']), placed(['a'])],
  [{ kind: 'slice', axes: ['c', 'b'], dim: 0 }, placed(['a', '']), placed(['a c b', ''])],
  [
    { kind: 'mask', axes: ['c', 'a'] },
    placed([''], { b: 'sum' }),
    placed([''], { a: 'sum', b: 'sum', c: 'sum' }),
  ],
  [{ kind: 'permute', to: placed(['b', 'c a']) }, placed(['a', 'b c']), placed(['b', 'c a'])],
])('%j', (change, before, after) => {
  const result = applyChange(before, change, mesh);
  expect(isFault(result) ? result : samePlacement(result, after)).toBe(true);
  expect(isFault(result) ? [] : [...result.pending.keys()]).toEqual([...after.pending.keys()]);
});

test.each<[PlacementChange, Placement, string]>([
  [
    { kind: 'all_gather', axes: ['a'] },
    placed(['a b']),
    'a is not the minor end of dimension 0, which is cut @(a, b)',
  ],
  [
    { kind: 'all_gather', axes: ['b', 'a'] },
    placed(['', 'a b']),
    '(b, a) is not the minor end of dimension 1, which is cut @(a, b)',
  ],
  [
    { kind: 'all_gather', axes: ['a', 'b'] },
    placed(['a', 'b']),
    '(a, b) is not the minor end of dimension 1, which is cut @b',
  ],
  [{ kind: 'all_gather', axes: ['a'] }, placed([''], { a: 'sum' }), 'a cuts no dimension'],
  [{ kind: 'all_gather', axes: ['b', 'b'] }, placed(['a b']), 'b is listed twice'],
  [{ kind: 'all_reduce', axes: ['a'] }, placed(['a']), 'a is not pending'],
  [
    { kind: 'all_reduce', axes: ['a'] },
    placed([''], { a: 'sum', b: 'max' }),
    'pending {+a, max b}: which is combined first is not said',
  ],
  [
    { kind: 'reduce_scatter', axes: ['a'], dim: 1 },
    placed([''], { a: 'sum' }),
    'there is no dimension 1 of 1',
  ],
  [{ kind: 'reduce_scatter', axes: ['a', 'b'], dim: 0 }, placed([''], { a: 'sum' }), 'b is not pending'],
  [
    { kind: 'all_to_all', axes: ['a'], from: 1, to: 0 },
    placed(['a', '']),
    'a is not the minor end of dimension 1, which is whole',
  ],
  [{ kind: 'all_to_all', axes: ['a'], from: 0, to: -1 }, placed(['a']), 'there is no dimension -1 of 1'],
  [{ kind: 'all_to_all', axes: ['a'], from: 0, to: 0 }, placed(['a']), 'dimension 0 to itself moves nothing'],
  [{ kind: 'broadcast', axes: ['a'] }, placed(['a']), 'a cuts dimension 0 already'],
  [{ kind: 'slice', axes: ['b'], dim: 0 }, placed(['a b']), 'b cuts dimension 0 already'],
  [{ kind: 'slice', axes: ['b'], dim: 0 }, placed(['a'], { b: 'sum' }), 'b is pending already'],
  [
    { kind: 'mask', axes: ['b'] },
    placed(['a'], { c: 'max' }),
    'pending {max c} already: no sum can be added',
  ],
  [{ kind: 'mask', axes: ['c'] }, placed(['a'], { c: 'sum' }), 'c is pending already'],
  [{ kind: 'permute', to: placed(['c']) }, placed(['a']), 'dimension 0 is cut in 2, and would be in 3'],
  [{ kind: 'permute', to: placed(['a', '']) }, placed(['a']), '1 dimensions cannot become 2'],
  [{ kind: 'permute', to: placed(['a', 'a']) }, placed(['a', 'b']), 'a is listed twice'],
  [
    { kind: 'permute', to: placed([''], { b: 'sum' }) },
    placed([''], { a: 'sum' }),
    'a permutation leaves pending {+a} as it is',
  ],
])('%j is refused', (change, before, why) => {
  expect(message(applyChange(before, change, mesh))).toBe(why);
});

test('shapes of blocks', () => {
  const placement = placed(['a c', '', 'b'], {});
  expect(localShape([12, 5, 4], placement, mesh)).toEqual([2, 5, 2]);
  expect(divides([12, 5, 4], placement, mesh)).toBe(true);
  expect(divides([0, 0, 0], placement, mesh)).toBe(true);
  expect(divides([9, 5, 4], placement, mesh)).toBe(false);
  expect(message(divisionFault([9, 5, 4], placement, mesh))).toBe(
    'dimension 0 of size 9 does not divide into 6 blocks @(a, c)',
  );
  expect(message(divisionFault([6], placement, mesh))).toBe('a shape of 1 dimensions is placed in 3');
});
