/** The cases named are as the language says. */
import { caseFault, cases } from '../../adversarial-cases.ts';
import type { Oracle } from '../mutant.ts';

export const oracle: Oracle = {
  cases: [],
  check: (name, device) => caseFault(cases[name]!, device),
};
