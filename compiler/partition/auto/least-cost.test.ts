import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CostTable, leastCost } from './least-cost.ts';

const problem = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 6 }).chain((domains) =>
  fc.record({
    domains: fc.constant(domains),
    tables: fc.array(
      fc
        .uniqueArray(fc.nat(domains.length - 1), { maxLength: 3 })
        .chain((variables) => tableOver(variables, domains)),
      { maxLength: 9 },
    ),
    start: fc.tuple(...domains.map((domain) => fc.nat(domain - 1))),
  }),
);

function tableOver(variables: readonly number[], domains: readonly number[]) {
  const size = variables.reduce((product, variable) => product * domains[variable]!, 1);
  const cost = fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 0, max: 20 }) },
    { weight: 1, arbitrary: fc.constant(Infinity) },
  );
  return fc
    .array(cost, { minLength: size, maxLength: size })
    .map((costs): CostTable => ({ variables, costs: Float64Array.from(costs) }));
}

function costOf(values: readonly number[], domains: readonly number[], tables: readonly CostTable[]): number {
  return tables.reduce((sum, { variables, costs }) => {
    const position = variables.reduce((at, variable) => at * domains[variable]! + values[variable]!, 0);
    return sum + costs[position]!;
  }, 0);
}

function allChoices(domains: readonly number[]): readonly (readonly number[])[] {
  return domains.reduce<readonly (readonly number[])[]>(
    (choices, domain) =>
      choices.flatMap((choice) => Array.from({ length: domain }, (_, value) => [...choice, value])),
    [[]],
  );
}

test('no choice costs less', () => {
  fc.assert(
    fc.property(problem, ({ domains, tables, start }) => {
      const found = leastCost(domains, tables, { start, limit: Infinity });
      const least = Math.min(...allChoices(domains).map((values) => costOf(values, domains, tables)));
      expect(found.cost).toBe(least);
      expect(costOf(found.values, domains, tables)).toBe(least);
    }),
  );
});

test('with little room, what is found costs at most what the start does', () => {
  let worse = 0;
  fc.assert(
    fc.property(problem, ({ domains, tables, start }) => {
      const found = leastCost(domains, tables, { start, limit: 2 });
      expect(found.cost).toBe(costOf(found.values, domains, tables));
      expect(found.cost).toBeLessThanOrEqual(costOf(start, domains, tables));
      if (found.cost > leastCost(domains, tables, { start, limit: Infinity }).cost) worse++;
    }),
  );
  expect(worse, 'the limit is never felt').toBeGreaterThan(0);
});
