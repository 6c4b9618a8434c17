/** Identities of arithmetic. */
import { apply, constant } from '../../graph/scalar.ts';
import { wrap } from './fold.ts';
import {
  anyConstant, call, hole, integers, isConstant, numberOf, numbers, type Rule, value,
} from './rule.ts'; // biome-ignore format: one import a file

const constantsRight: readonly Rule[] = (['add', 'mul', 'min', 'max', 'eq', 'ne'] as const).map(
  (operation) => ({
    name: `the constant of ${operation} to the right`,
    types: numbers,
    from: call(operation, anyConstant('c'), hole('x')),
    to: ({ x, c }) => (isConstant(x!) ? undefined : apply(operation, x!, c!)),
  }),
);

export const arithmeticRules: readonly Rule[] = [
  { name: 'x + 0 = x', types: numbers, from: call('add', hole('x'), value(0)), to: ({ x }) => x },
  { name: 'x - 0 = x', types: numbers, from: call('sub', hole('x'), value(0)), to: ({ x }) => x },
  {
    name: '0 - x = -x',
    types: ['f32', 'i32'],
    from: call('sub', value(0), hole('x')),
    to: ({ x }) => apply('neg', x!),
  },
  { name: 'x * 1 = x', types: numbers, from: call('mul', hole('x'), value(1)), to: ({ x }) => x },
  { name: 'x / 1 = x', types: ['f32'], from: call('div', hole('x'), value(1)), to: ({ x }) => x },
  {
    name: 'x * 0 = 0 of integers',
    types: integers,
    from: call('mul', hole('x'), value(0)),
    to: (_, __, type) => constant(type, 0),
  },
  {
    name: 'x - x = 0 of integers',
    types: integers,
    from: call('sub', hole('x'), hole('x')),
    to: (_, __, type) => constant(type, 0),
  },
  {
    name: 'x * -1 = -x',
    types: ['f32', 'i32'],
    from: call('mul', hole('x'), value(-1)),
    to: ({ x }) => apply('neg', x!),
  },
  { name: '-(-x) = x', types: ['f32', 'i32'], from: call('neg', call('neg', hole('x'))), to: ({ x }) => x },
  {
    name: 'x + (-y) = x - y',
    types: ['f32', 'i32'],
    from: call('add', hole('x'), call('neg', hole('y'))),
    to: ({ x, y }) => apply('sub', x!, y!),
  },
  {
    name: 'x - (-y) = x + y',
    types: ['f32', 'i32'],
    from: call('sub', hole('x'), call('neg', hole('y'))),
    to: ({ x, y }) => apply('add', x!, y!),
  },
  {
    name: '(-x) * (-y) = x * y',
    types: ['f32', 'i32'],
    from: call('mul', call('neg', hole('x')), call('neg', hole('y'))),
    to: ({ x, y }) => apply('mul', x!, y!),
  },
  {
    name: '(-x) * c = x * -c',
    types: ['f32', 'i32'],
    from: call('mul', call('neg', hole('x')), anyConstant('c')),
    to: ({ x, c }, _, type) => apply('mul', x!, constant(type, wrap(type, -numberOf(c)))),
  },
  {
    // A power of two and its reciprocal are both exact, so both sides are the one rounding of the same real
    // number.
    name: 'x / c = x * (1/c) for a power of two',
    types: ['f32'],
    from: call('div', hole('x'), anyConstant('c', [2, 4, 0.5, -8, 3, 2 ** 20])),
    to: ({ x, c }, _, type) =>
      isPowerOfTwo(numberOf(c)) ? apply('mul', x!, constant(type, 1 / numberOf(c))) : undefined,
  },
  {
    name: '(x + c) + d = x + (c + d) of integers',
    types: integers,
    from: call('add', call('add', hole('x'), anyConstant('c')), anyConstant('d')),
    to: ({ x, c, d }, _, type) => apply('add', x!, constant(type, wrap(type, numberOf(c) + numberOf(d)))),
  },
  { name: 'min(x, x) = x', types: numbers, from: call('min', hole('x'), hole('x')), to: ({ x }) => x },
  { name: 'max(x, x) = x', types: numbers, from: call('max', hole('x'), hole('x')), to: ({ x }) => x },
  ...constantsRight,
];

/** With a reciprocal that is a normal f32 too. */
function isPowerOfTwo(number: number): boolean {
  const exponent = Math.log2(Math.abs(number));
  return Number.isInteger(exponent) && Math.abs(exponent) <= 126;
}
