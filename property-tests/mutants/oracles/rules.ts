/** The rules named are sound. */
import { tryRule } from '../../../compiler/optimize/rules/testing.ts';
import { ruleTables } from '../../../compiler/optimize/simplify.ts';
import type { Oracle } from '../mutant.ts';

export const oracle: Oracle = ({ on }) => {
  const rules = Object.values(ruleTables).flat();
  for (const rule of rules.filter(({ name }) => on.includes(name)))
    for (const type of rule.types) {
      const { fault } = tryRule(rule, type, 60, 1000);
      if (fault !== undefined) return `${rule.name} of ${type}: ${fault}`;
    }
  return undefined;
};
