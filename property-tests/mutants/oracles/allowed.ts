/**
 * Small programs by matrix units that may round (`tf32, sm_80, units.ricci: plain M=3,K=4,N=5`), in the emulator,
 * are off by no more than they may be, with inputs by which roundings add up; also as chosen (`…, units
 * warpRows=4 …`).
 */
import { isAllowance } from '../../../compiler/tiles/allowances.ts';
import { ptxTargets } from '../../../compiler/tiles/ptx-target.ts';
import { measured } from '../../allowed.ts';
import type { Oracle } from '../mutant.ts';

export const oracle: Oracle = {
  cases: [],
  check: async (name) => {
    const [allowance, wanted, program, choice] = name.split(', ') as [string, string, string, string?];
    const target = ptxTargets.find((each) => each === wanted);
    if (!isAllowance(allowance) || target === undefined) throw new ReferenceError(`there is no ${name}`);
    const { off } = await measured({ program, allowed: [allowance], target, choice, inputs: 'unkind' });
    return off > 1 ? `${off} times as far off as it may be` : undefined;
  },
};
