import { describe, expect, test } from 'vitest';
import type { Scalar, Tensor } from './graph.ts';
import {
  apply,
  applyType,
  constant,
  convert,
  float,
  integer,
  iterator,
  iteratorsOf,
  load,
  loadsOf,
  mapScalar,
  round,
  scalarKey,
  scalarType,
  subexpressions,
  substituteIterators,
  substituteLoads,
} from './scalar.ts';

const weights: Tensor = { id: 7, name: 'w', dtype: 'bf16', shape: [4, 8] };
const picks: Tensor = { id: 8, name: 'pick', dtype: 'i32', shape: [3] };

describe('types', () => {
  test('of each kind of expression', () => {
    expect(scalarType(load(weights, [iterator(0), iterator(1)]))).toBe('f32');
    expect(scalarType(round('i8', integer(3)))).toBe('i32');
    expect(scalarType(iterator(0))).toBe('i32');
    expect(scalarType(apply('lt', float(1), float(2)))).toBe('bool');
    expect(scalarType(apply('select', constant('bool', 1), integer(1), integer(2)))).toBe('i32');
  });

  test.each([
    ['add', ['f32', 'i32']],
    ['add', ['bool', 'bool']],
    ['add', ['f32']],
    ['div', ['i32', 'i32']],
    ['floordiv', ['f32', 'f32']],
    ['select', ['i32', 'f32', 'f32']],
    ['select', ['bool', 'f32', 'i32']],
    ['and', ['bool', 'i32']],
    ['threefry0', ['u32', 'u32', 'u32', 'i32']],
  ] as const)('%s does not take %j', (name, types) => {
    expect(applyType(name, types)).toBeUndefined();
  });

  test('an ill-typed application cannot be built', () => {
    expect(() => apply('add', float(1), integer(1))).toThrow(/add does not take/);
  });

  test('conversions and rounding that change nothing are left out', () => {
    const value = float(1.5);
    expect(convert('f32', value)).toBe(value);
    expect(round('f32', value)).toBe(value);
    expect(round('bf16', integer(3))).toEqual({
      op: 'round',
      dtype: 'bf16',
      operand: { op: 'convert', dtype: 'f32', operand: integer(3) },
    });
  });
});

describe('substitution', () => {
  test('of iterators reaches subscripts of subscripts, all at once', () => {
    const looked = load(weights, [load(picks, [iterator(0)]), iterator(1)]);
    const swapped = substituteIterators(looked, (axis) => iterator(1 - axis));
    expect(swapped).toEqual(load(weights, [load(picks, [iterator(1)]), iterator(0)]));
  });

  test('of loads sees substituted subscripts, inner first', () => {
    const looked = load(weights, [load(picks, [iterator(0)]), iterator(1)]);
    const replaced = substituteLoads(looked, (found) =>
      found.tensor === picks.id ? apply('add', found.subscripts[0]!, integer(1)) : found,
    );
    expect(replaced).toEqual(load(weights, [apply('add', iterator(0), integer(1)), iterator(1)]));
  });

  test('without a change gives the same object', () => {
    const looked = load(weights, [load(picks, [iterator(0)]), iterator(1)]);
    expect(mapScalar(looked, (scalar) => scalar)).toBe(looked);
  });
});

describe('sharing', () => {
  /** 2^depth leaves as a tree, depth + 1 objects. */
  function doubled(depth: number): Scalar {
    let scalar: Scalar = apply('add', load(weights, [iterator(0), iterator(1)]), float(1));
    for (let level = 0; level < depth; level++) scalar = apply('add', scalar, scalar);
    return scalar;
  }

  test('is visited once and kept', () => {
    const deep = doubled(2000);
    expect(subexpressions(deep)).toHaveLength(2005);
    expect(subexpressions(substituteIterators(deep, (axis) => iterator(axis + 1)))).toHaveLength(2005);
    expect(loadsOf(deep)).toHaveLength(1);
    expect([...iteratorsOf(deep)]).toEqual([0, 1]);
  });

  test('does not change the key', () => {
    const shared = load(picks, [iterator(0)]);
    const twice = apply('add', shared, shared);
    const apart = apply('add', load(picks, [iterator(0)]), load(picks, [iterator(0)]));
    expect(scalarKey(twice)).toBe(scalarKey(apart));
    expect(scalarKey(doubled(2000))).toBe(scalarKey(doubled(2000)));
  });
});

test('keys tell different trees apart', () => {
  const left = apply('sub', iterator(0), iterator(1));
  const trees: Scalar[] = [
    left,
    apply('sub', iterator(1), iterator(0)),
    apply('sub', iterator(0), iterator(0)),
    apply('add', iterator(0), iterator(1)),
    apply('sub', left, iterator(1)),
    apply('sub', iterator(0), left),
    integer(1),
    constant('u32', 1),
    float(0),
    float(-0),
    load(picks, [iterator(0)]),
    load({ ...picks, id: 9 }, [iterator(0)]),
    round('bf16', float(0)),
    round('f16', float(0)),
  ];
  expect(new Set(trees.map(scalarKey)).size).toBe(trees.length);
});
