import type { Advice } from '../../compiler/tiles/choices/advice.ts';
import type { Choice } from '../../compiler/tiles/choices/choice.ts';
import type { Problem } from '../../compiler/tiles/choices/problem.ts';

/** Advises the choice for the problem, and not for the parts that it is split into, which have its result. */
export function onceFor({ node }: Problem, choice: Choice): Advice {
  let isGiven = false;
  return (asked) => {
    if (isGiven || asked.node.result.id !== node.result.id) return undefined;
    isGiven = true;
    return choice;
  };
}
