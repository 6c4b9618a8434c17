/** Choices, comparisons and truth values. */
import type { Scalar } from '../../graph/graph.ts';
import { apply, boolean, loadsOf } from '../../graph/scalar.ts';
import {anyConstant, 
  call, everything, hole, integers, type Rule, value,
} from './rule.ts'; // biome-ignore format: one import a file

const bool = ['bool'] as const;

/**
 * `select` evaluates one branch only: a load in the other may be out of range, and must stay in its branch.
 */
function loads(scalar: Scalar): boolean {
  return loadsOf(scalar).length > 0;
}

/** Comparisons that the intervals of both sides decide. */
const decided: readonly Rule[] = (['lt', 'le', 'eq', 'ne'] as const).map((comparison) => ({
  name: `${comparison}(x, y) decided by ranges`,
  types: integers,
  from: call(comparison, hole('x', 'natural'), anyConstant('y', [-1, 0, 1, 2, 100])),
  to: ({ x, y }, { range, interner }) => {
    const interval = range(interner.intern(apply(comparison, x!, y!)));
    return interval.low === interval.high ? boolean(interval.low === 1) : undefined;
  },
}));

const reflexive: readonly Rule[] = (
  [
    ['eq', true],
    ['le', true],
    ['ne', false],
    ['lt', false],
  ] as const
).map(([comparison, holds]) => ({
  name: `${comparison}(x, x) is ${holds}`,
  types: ['i32', 'u32', 'bool'],
  from: call(comparison, hole('x'), hole('x')),
  to: () => boolean(holds),
}));

/** Of floats only where NaN makes no difference. */
const negations: readonly Rule[] = (
  [
    ['lt', 'le', true, integers],
    ['le', 'lt', true, integers],
    ['eq', 'ne', false, everything],
    ['ne', 'eq', false, everything],
  ] as const
).map(([comparison, opposite, swapped, types]) => ({
  name: `not ${comparison}(x, y) = ${opposite}(${swapped ? 'y, x' : 'x, y'})`,
  types,
  from: call('not', call(comparison, hole('x'), hole('y'))),
  to: ({ x, y }) => (swapped ? apply(opposite, y!, x!) : apply(opposite, x!, y!)),
}));

export const logicRules: readonly Rule[] = [
  {
    name: 'select(true, x, y) = x',
    types: everything,
    from: call('select', value(1), hole('x'), hole('y')),
    to: ({ x }) => x,
  },
  {
    name: 'select(false, x, y) = y',
    types: everything,
    from: call('select', value(0), hole('x'), hole('y')),
    to: ({ y }) => y,
  },
  {
    name: 'select(c, x, x) = x',
    types: everything,
    from: call('select', hole('c'), hole('x'), hole('x')),
    to: ({ x }) => x,
  },
  {
    name: 'select(not c, x, y) = select(c, y, x)',
    types: everything,
    from: call('select', call('not', hole('c')), hole('x'), hole('y')),
    to: ({ c, x, y }) => apply('select', c!, y!, x!),
  },
  {
    name: 'select(c, select(c, x, y), z) = select(c, x, z)',
    types: everything,
    from: call('select', hole('c'), call('select', hole('c'), hole('x'), hole('y')), hole('z')),
    to: ({ c, x, z }) => apply('select', c!, x!, z!),
  },
  {
    name: 'select(c, x, select(c, y, z)) = select(c, x, z)',
    types: everything,
    from: call('select', hole('c'), hole('x'), call('select', hole('c'), hole('y'), hole('z'))),
    to: ({ c, x, z }) => apply('select', c!, x!, z!),
  },
  {
    name: 'select(c, true, x) = c or x',
    types: bool,
    from: call('select', hole('c'), value(1), hole('x')),
    to: ({ c, x }) => (loads(x!) ? undefined : apply('or', c!, x!)),
  },
  {
    name: 'select(c, x, false) = c and x',
    types: bool,
    from: call('select', hole('c'), hole('x'), value(0)),
    to: ({ c, x }) => (loads(x!) ? undefined : apply('and', c!, x!)),
  },
  {
    name: 'select(c, false, true) = not c',
    types: bool,
    from: call('select', hole('c'), value(0), value(1)),
    to: ({ c }) => apply('not', c!),
  },
  { name: 'not not x = x', types: bool, from: call('not', call('not', hole('x'))), to: ({ x }) => x },
  { name: 'x and true = x', types: bool, from: call('and', hole('x'), value(1)), to: ({ x }) => x },
  {
    name: 'x and false = false',
    types: bool,
    from: call('and', hole('x'), value(0)),
    to: () => boolean(false),
  },
  { name: 'x or false = x', types: bool, from: call('or', hole('x'), value(0)), to: ({ x }) => x },
  { name: 'x or true = true', types: bool, from: call('or', hole('x'), value(1)), to: () => boolean(true) },
  { name: 'x and x = x', types: bool, from: call('and', hole('x'), hole('x')), to: ({ x }) => x },
  { name: 'x or x = x', types: bool, from: call('or', hole('x'), hole('x')), to: ({ x }) => x },
  {
    name: 'x and not x = false',
    types: bool,
    from: call('and', hole('x'), call('not', hole('x'))),
    to: () => boolean(false),
  },
  {
    name: 'x or not x = true',
    types: bool,
    from: call('or', hole('x'), call('not', hole('x'))),
    to: () => boolean(true),
  },
  ...decided,
  ...reflexive,
  ...negations,
];
