/**
 * Rules of the placement checker that are broken on purpose: what random programs are judged by finds each of
 * them out. (Random programs alone do too, in the order of a hundred of them.)
 */
import { expect, test, vi } from 'vitest';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type * as Joins from '../../dsl/types/placing/joins.ts';
import type * as Linearity from '../../dsl/types/placing/linearity.ts';
import type * as Comprehension from '../../dsl/types/placing/place-comprehension.ts';
import type * as Together from '../../dsl/types/placing/together.ts';
import { readTape } from '../graph/choice-tape.ts';
import { threefry2x32 } from '../graph/threefry.ts';
import { judged } from './judge-placed-source.ts';

/** By broken rule, a program that only a checker without the rule accepts. */
const programs = {
  'takes lists of which neither begins with the other': `(x: f32[N@a, M], y: f32[N@b, M]) -> f32[N@a, M] =
  for i, j: x[i, j] * y[i, j]`,
  'lets one axis be used twice': `(x: f32[N@a], y: f32[M@a]) -> f32[N@a] =
  all_reduce((for i: sum j: x[i] * y[j]), a)`,
  'takes a maximum for linear': `(x: f32[N, M@a]) -> f32[N] =
  all_reduce((for i: max(0.0, sum j: x[i, j])), a)`,
  'takes an absolute value for linear': `(x: f32[N, M@a]) -> f32[N] =
  all_reduce((for i: abs(sum j: x[i, j])), a)`,
  'adds up parts of a product': '(x: f32[N, M@a]) -> f32[N] = all_reduce((for i: prod j: x[i, j]), a)',
  'splits a dimension in the middle of a part': `[G, R](x: f32[(G * R)@a]) -> f32[G, R] =
  all_gather((for g < G, r < R: x[(g, r)]), a)`,
  'takes final what is pending': `(x: bool[N, M@a]) -> f32[N] =
  for i: if (any j: x[i, j]) then 1.0 else 2.0`,
} as const;
type Mutant = keyof typeof programs;

const broken = vi.hoisted(() => ({ rule: undefined as string | undefined }));
const is = (rule: Mutant): boolean => broken.rule === rule;

vi.mock('../../dsl/types/placing/joins.ts', async (original) => {
  const real = await original<typeof Joins>();
  return {
    ...real,
    cutIndex: (...[meeting, index, cut]: Parameters<typeof real.cutIndex>) => {
      if (!is('takes lists of which neither begins with the other'))
        return real.cutIndex(meeting, index, cut);
      index.cut = index.cut.length < cut.length ? cut : index.cut;
      return true;
    },
    requireFinal: (...given: Parameters<typeof real.requireFinal>) =>
      is('takes final what is pending') || real.requireFinal(...given),
  };
});

vi.mock('../../dsl/types/placing/together.ts', async (original) => {
  const real = await original<typeof Together>();
  const isLax = () => is('lets one axis be used twice');
  return {
    useTogether: (...given: Parameters<typeof real.useTogether>) =>
      isLax() ? given[0] : real.useTogether(...given),
    fitsTogether: (...given: Parameters<typeof real.fitsTogether>) => isLax() || real.fitsTogether(...given),
    judgeTogether: (...given: Parameters<typeof real.judgeTogether>) =>
      isLax() || real.judgeTogether(...given),
  };
});

vi.mock('../../dsl/types/placing/linearity.ts', async (original) => {
  const real = await original<typeof Linearity>();
  return {
    ...real,
    allows: (...[role, combiner, pending]: Parameters<typeof real.allows>) =>
      (is('takes a maximum for linear') && role === 'greatest') || real.allows(role, combiner, pending),
    roles: {
      ...real.roles,
      get abs() {
        return is('takes an absolute value for linear') ? 'sum' : real.roles.abs;
      },
    },
    leaves: {
      ...real.leaves,
      get prod() {
        return is('adds up parts of a product') ? 'sum' : real.leaves.prod;
      },
    },
  };
});

vi.mock('../../dsl/types/placing/place-comprehension.ts', async (original) => {
  const real = await original<typeof Comprehension>();
  return {
    ...real,
    splitCut: (...[cut, sizes, placing]: Parameters<typeof real.splitCut>) =>
      real.splitCut(cut, sizes, placing) ??
      (is('splits a dimension in the middle of a part') ? [cut, ...sizes.slice(1).map(() => [])] : undefined),
  };
});

const meshes: readonly Mesh[] = [
  [2, 1],
  [2, 3],
  [3, 2],
].map(([a, b]) => ({
  axes: [
    { name: 'a', size: a! },
    { name: 'b', size: b! },
    { name: 'c', size: 1 },
  ],
}));

/** What is said of the program on each mesh, at several sizes. */
function outcomes(text: string): readonly string[] {
  return meshes.flatMap((mesh) =>
    [1, 2, 3, 4, 5, 6].map((seed) => {
      const tape = Array.from({ length: 200 }, (_, at) => threefry2x32(seed, at, 0, 0)[0]);
      return judged(`mesh (a, b, c)\n\nexport fn main${text}\n`, mesh, readTape(tape)).kind;
    }),
  );
}

test.each(Object.entries(programs))('a checker that %s is found out', (rule, text) => {
  expect(() => outcomes(text)).toThrow('refused as a whole');
  broken.rule = rule;
  try {
    expect(outcomes(text)).toContain('wrong');
  } finally {
    broken.rule = undefined;
  }
});
