/** Rules of the placement checker that are broken on purpose: the random programs find each of them out. */
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import type * as Joins from '../../dsl/types/placing/joins.ts';
import type * as Linearity from '../../dsl/types/placing/linearity.ts';
import type * as Comprehension from '../../dsl/types/placing/place-comprehension.ts';
import type * as Together from '../../dsl/types/placing/together.ts';
import { outcomeOf } from './judge-placed-source.ts';
import { tapes } from './random-placed-source.ts';

const mutants = [
  'takes lists of which neither begins with the other',
  'lets one axis be used twice',
  'takes a maximum for linear',
  'takes an absolute value for linear',
  'adds up parts of a product',
  'splits a dimension in the middle of a part',
  'takes final what is pending',
] as const;
type Mutant = (typeof mutants)[number];

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
    roles: new Proxy(real.roles, {
      get: (roles, name: keyof typeof roles) =>
        name === 'abs' && is('takes an absolute value for linear') ? 'sum' : roles[name],
    }),
    leaves: new Proxy(real.leaves, {
      get: (leaves, name: keyof typeof leaves) =>
        name === 'prod' && is('adds up parts of a product') ? 'sum' : leaves[name],
    }),
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

/** What is refused only when it is whole, or has no place, or gives something else. */
function isFoundOut(tape: readonly number[]): boolean {
  try {
    return outcomeOf(tape).kind === 'wrong';
  } catch {
    return true;
  }
}

const mostPrograms = 200;

test.each(mutants)(
  'a checker that %s is found out',
  (rule) => {
    broken.rule = rule;
    try {
      const sampled = fc.sample(tapes, { numRuns: mostPrograms, seed: 11 });
      const at = sampled.findIndex(isFoundOut);
      console.log(rule, at);
      expect(at).toBeGreaterThanOrEqual(0);
    } finally {
      broken.rule = undefined;
    }
  },
  600_000,
);
