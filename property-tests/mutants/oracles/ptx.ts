/**
 * Small programs (`file: entry`, or `file: entry N=3,M=4`) compute as PTX, in the emulator, what they say: for
 * sm_80, or for sm_90a (`…, sm_90a`), there also as chosen (`…, sm_90a, units warpRows=4 …`), and for so many
 * processors (`…, sm_90a, units warpRows=4 …, 2 processors`). As chosen, copies and products end late, and in any
 * order.
 */

import { describeEntry } from '../../../compiler/lower/entry.ts';
import type { Advice } from '../../../compiler/tiles/choices/advice.ts';
import { parseChoice } from '../../../compiler/tiles/choices/choice-text.ts';
import { ptxTargets } from '../../../compiler/tiles/ptx-target.ts';
import { randomInput } from '../../../driver/random-inputs.ts';
import { namedProgram } from '../../named-program.ts';
import { deviceToleranceOf, distance, evaluateEntry, loweredEntry } from '../../run-entry.ts';
import { runPtx } from '../../run-ptx.ts';
import type { Oracle } from '../mutant.ts';

const orders = ['late', { seed: 1 }] as const;

export const oracle: Oracle = {
  cases: [],
  check: async (name) => {
    const [program, wanted, choice, few] = name.split(', ') as [string, ...(string | undefined)[]];
    const { checked, entry, instances } = namedProgram(program);
    const target = ptxTargets.find((each) => each === wanted) ?? 'sm_80';
    const advice = choice === undefined ? undefined : advising(choice);
    for (const sizes of instances) {
      const { inputs } = describeEntry(checked.program, entry);
      const given = new Map(inputs.map((input) => [input.path, randomInput(input, sizes, 7)]));
      const processors = few === undefined ? {} : { processors: Number.parseInt(few, 10) };
      const instance = { entry, sizes, inputDtypes: new Map(), advice, ...processors };
      const lowered = loweredEntry(checked, instance);
      const { written } = evaluateEntry(checked, entry, sizes, 7);
      for (const copies of choice === undefined ? orders.slice(0, 1) : orders) {
        const off = distance(written, await runPtx(lowered, instance, given, { target, copies }));
        if (off > deviceToleranceOf(written)) return `at ${JSON.stringify([...sizes])}: ${off} off`;
      }
    }
    return undefined;
  },
};

function advising(text: string): Advice {
  const choice = parseChoice(text);
  if ('wrong' in choice) throw new Error(`${text}: ${choice.wrong}`);
  return () => choice;
}
