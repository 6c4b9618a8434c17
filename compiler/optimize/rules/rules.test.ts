import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readTape } from '../../graph/choice-tape.ts';
import type { Arithmetic } from '../../graph/graph.ts';
import { printScalar } from '../../graph/print.ts';
import { apply, constant } from '../../graph/scalar.ts';
import { createInterner } from '../expressions/interner.ts';
import { rangeAnalysis } from '../expressions/ranges.ts';
import { ruleTables, simplifierOf } from '../simplify.ts';
import { randomInstance } from './random-instance.ts';
import { anyConstant, call, hole, numberOf, numbers, type Rule, value } from './rule.ts';
import { bounds, difference, mostInstances, tapes, tryRule, valuesOf } from './testing.ts';

const wantedFirings = 120;

describe.each(Object.entries(ruleTables))('rules of %s', (_, rules) => {
  test.each(rules.map((rule): [string, Rule] => [rule.name, rule]))('%s', (_, rule) => {
    for (const type of rule.types) {
      const { firings, fault } = tryRule(rule, type, wantedFirings);
      expect(fault, `of ${type}`).toBeUndefined();
      expect(firings, `instances of ${type} on which the rule fires`).toBeGreaterThan(0);
    }
  });
});

test('no two rules have one name', () => {
  const names = Object.values(ruleTables).flatMap((rules) => rules.map(({ name }) => name));
  expect(names.filter((name, position) => names.indexOf(name) < position)).toEqual([]);
});

/** Rules that one might write down and should not. */
const unsound: readonly Rule[] = [
  {
    name: 'x * 0 = 0: not of NaN and infinities',
    types: ['f32'],
    from: call('mul', hole('x'), value(0)),
    to: (_, __, type) => constant(type, 0),
  },
  {
    name: 'x - x = 0: not of NaN and infinities',
    types: ['f32'],
    from: call('sub', hole('x'), hole('x')),
    to: (_, __, type) => constant(type, 0),
  },
  {
    name: 'x / c = x * (1/c): rounds twice',
    types: ['f32'],
    from: call('div', hole('x'), anyConstant('c', [3])),
    to: ({ x, c }) => apply('mul', x!, constant('f32', Math.fround(1 / numberOf(c)))),
  },
  {
    name: '(x + c) + d = x + (c + d): sums of floats are not reassociated',
    types: ['f32'],
    from: call('add', call('add', hole('x'), anyConstant('c', [0.1])), anyConstant('d', [0.7])),
    to: ({ x, c, d }) => apply('add', x!, constant('f32', Math.fround(numberOf(c) + numberOf(d)))),
  },
  {
    name: 'not x < y = y <= x: not of NaN',
    types: ['f32'],
    from: call('not', call('lt', hole('x'), hole('y'))),
    to: ({ x, y }) => apply('le', y!, x!),
  },
  {
    name: 'x = x is true: not of NaN',
    types: ['f32'],
    from: call('eq', hole('x'), hole('x')),
    to: () => constant('bool', 1),
  },
  {
    name: 'x < x + 1: not where it wraps',
    types: ['i32', 'u32'],
    from: call('lt', hole('x'), call('add', hole('x'), value(1))),
    to: () => constant('bool', 1),
  },
  {
    name: '(x * c) // c = x: not where it wraps',
    types: ['i32'],
    from: call('floordiv', call('mul', hole('x'), anyConstant('c', [2])), anyConstant('c', [2])),
    to: ({ x }) => x,
  },
  {
    name: '(x // c) * c = x: forgets the remainder',
    types: ['i32'],
    from: call('mul', call('floordiv', hole('x'), anyConstant('c', [3])), anyConstant('c', [3])),
    to: ({ x }) => x,
  },
  {
    name: 'a remainder of what may be negative',
    types: ['i32'],
    from: call('mod', hole('x', 'affine'), anyConstant('c', [4])),
    to: ({ x, c }, { range }) => (range(x!).high < numberOf(c!) ? x : undefined),
  },
  {
    name: 'f32 holds no i32 exactly beyond 2^24',
    types: ['i32'],
    from: { match: 'convert', from: 'f32', to: 'i32', operand: { match: 'convert', from: 'i32', to: 'f32',
      operand: hole('x') } },
    to: ({ x }) => x,
  }, // biome-ignore format: one topic a line
  {
    name: 'select with its branches swapped',
    types: ['f32', 'i32', 'u32', 'bool'],
    from: call('select', hole('c'), hole('x'), hole('y')),
    to: ({ c, x, y }) => apply('select', c!, y!, x!),
  },
  {
    name: 'a wrong type',
    types: numbers,
    from: call('lt', hole('x'), hole('x')),
    to: () => constant('i32', 0),
  },
];

test.each(unsound.map((rule): [string, Rule] => [rule.name, rule]))(
  'the test finds the unsound rule: %s',
  (_, rule) => {
    for (const type of rule.types)
      expect(tryRule(rule, type, mostInstances).fault, `of ${type}`).toBeDefined();
  },
);

/** Any expression of the type. */
const anything = (type: Arithmetic): Rule => ({
  name: `any ${type}`,
  types: [type],
  from: hole('x', type === 'i32' ? 'affine' : 'expression'),
  to: ({ x }) => x,
});

const drawn = fc.tuple(fc.constantFrom<Arithmetic>('f32', 'i32', 'u32', 'bool'), tapes);

test('all rules together keep the value of an expression, and end in a form that they leave alone', () => {
  fc.assert(
    fc.property(drawn, ([type, tape]) => {
      const interner = createInterner();
      const simplify = simplifierOf(bounds, interner);
      const before = interner.intern(randomInstance(anything(type), type, readTape(tape)));
      const after = simplify(before);
      expect(difference(before, after)).toBeUndefined();
      expect(printScalar(simplifierOf(bounds, interner)(after))).toBe(printScalar(after));
    }),
    { numRuns: 1500 },
  );
});

test('every value of an integer expression lies in its interval', () => {
  let bounded = 0;
  fc.assert(
    fc.property(drawn, ([type, tape]) => {
      const scalar = randomInstance(anything(type), type, readTape(tape));
      const { low, high } = rangeAnalysis(bounds)(createInterner().intern(scalar));
      if (high - low < 2 ** 31) bounded++;
      if (type === 'f32') return;
      for (const element of valuesOf([scalar])[0]!) {
        expect(element, printScalar(scalar)).toBeGreaterThanOrEqual(low);
        expect(element, printScalar(scalar)).toBeLessThanOrEqual(high);
      }
    }),
    { numRuns: 1500 },
  );
  expect(bounded).toBeGreaterThan(500);
});
