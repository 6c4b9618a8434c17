/** Every rewrite rule, made wrong in every way in which rules go wrong: the test of soundness rejects it. */
import { expect, test } from 'vitest';
import type { Arithmetic } from '../../compiler/graph/graph.ts';
import type { Rule } from '../../compiler/optimize/rules/rule.ts';
import { tryRule } from '../../compiler/optimize/rules/testing.ts';
import { ruleTables } from '../../compiler/optimize/simplify.ts';
import { type RuleMutationName, ruleMutationNames, ruleMutations } from './rule-mutations.ts';

const rules = Object.values(ruleTables).flat();

/** Instances of which so many are tried, until so many fire. */
const mostInstances = 500;
const enough = 40;

/** What is no fault: the rule is sound that way too, or the same. */
const sound: { readonly [M in RuleMutationName]: readonly string[] } = {
  'is off by one': [],
  'swaps operands': [],
  // Symmetric in what they bind.
  'confuses what it bound': [
    'x - (-y) = x + y',
    '(-x) * (-y) = x * y',
    'affine normal form of add',
    'affine normal form of mul',
    'eq decided by the difference',
    'ne decided by the difference',
    'min decided by the difference',
    'max decided by the difference',
    'select(c, true, x) = c or x',
    'select(c, x, false) = c and x',
    'eq(x, y) decided by ranges',
    'ne(x, y) decided by ranges',
    'not eq(x, y) = ne(x, y)',
    'not ne(x, y) = eq(x, y)',
  ],
  'takes any operand for a constant': [],
  'takes different operands for the same': [],
  'believes what it wants of ranges': [],
  // There is no use for it of other types; affine forms are of i32 only, so that it changes nothing of others.
  'is used for other types': [
    '0 - x = -x',
    'x * -1 = -x',
    'x + (-y) = x - y',
    'x - (-y) = x + y',
    '(-x) * (-y) = x * y',
    '(-x) * c = x * -c',
    'the constant of eq to the right',
    'the constant of ne to the right',
    'affine normal form of add',
    'affine normal form of sub',
    'affine normal form of mul',
    'lt decided by the difference',
    'le decided by the difference',
    'eq decided by the difference',
    'ne decided by the difference',
    'min decided by the difference',
    'max decided by the difference',
    'eq(x, y) decided by ranges',
    'ne(x, y) decided by ranges',
    'lt(x, x) is false',
  ],
};

type Fate = 'killed' | 'survives' | 'never fires';

function fateOf(mutant: Rule, type: Arithmetic): Fate {
  try {
    const { firings, fault } = tryRule(mutant, type, enough, mostInstances);
    if (fault !== undefined) return 'killed';
    return firings === 0 ? 'never fires' : 'survives';
  } catch {
    return 'killed';
  }
}

interface Tried {
  readonly rule: string;
  readonly type: Arithmetic;
  readonly fate: Fate;
}

function tried(mutation: RuleMutationName): readonly Tried[] {
  return rules.flatMap((rule) => {
    const mutant = ruleMutations[mutation](rule);
    return (mutant?.types ?? []).map((type) => ({ rule: rule.name, type, fate: fateOf(mutant!, type) }));
  });
}

/** Rules and types of which so many at least are killed. */
const leastKilled: { readonly [M in RuleMutationName]: number } = {
  'is off by one': 170,
  'swaps operands': 110,
  'confuses what it bound': 30,
  'takes any operand for a constant': 30,
  'takes different operands for the same': 35,
  'believes what it wants of ranges': 18,
  'is used for other types': 20,
};

test.each(ruleMutationNames)('a rule that %s is rejected', (mutation) => {
  const all = tried(mutation);
  const survivors = new Set(all.flatMap(({ rule, fate }) => (fate === 'survives' ? [rule] : [])));
  expect([...survivors].sort()).toEqual([...sound[mutation]].sort());
  expect(all.filter(({ fate }) => fate === 'killed').length).toBeGreaterThanOrEqual(leastKilled[mutation]);
});

test('of every rule and type a mutant is rejected', () => {
  const killed = new Set(
    tried('is off by one').flatMap(({ rule, type, fate }) =>
      fate === 'killed' ? [`${rule} of ${type}`] : [],
    ),
  );
  const missing = rules.flatMap(({ name, types }) => types.map((type) => `${name} of ${type}`));
  expect(missing.filter((each) => !killed.has(each))).toEqual([]);
});
