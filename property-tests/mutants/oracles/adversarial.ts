/** The cases named are as the language says. */
import { caseFault, cases } from '../../adversarial-cases.ts';
import type { Oracle } from '../mutant.ts';

export const oracle: Oracle = async ({ device, on }) => {
  for (const name of on) {
    const found = await caseFault(cases[name]!, device);
    if (found !== undefined) return `${name}: ${found}`;
  }
  return undefined;
};
