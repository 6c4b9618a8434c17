/** Small programs (`file: entry`, or `file: entry N=3,M=4`) compute as PTX, in the emulator, what they say. */
import { describeEntry } from '../../../compiler/lower/entry.ts';
import { randomInput } from '../../../driver/random-inputs.ts';
import { namedProgram } from '../../named-program.ts';
import { deviceToleranceOf, distance, evaluateEntry, loweredEntry } from '../../run-entry.ts';
import { runPtx } from '../../run-ptx.ts';
import type { Oracle } from '../mutant.ts';

export const oracle: Oracle = {
  cases: [],
  check: async (name) => {
    const { checked, entry, instances } = namedProgram(name);
    for (const sizes of instances) {
      const { inputs } = describeEntry(checked.program, entry);
      const given = new Map(inputs.map((input) => [input.path, randomInput(input, sizes, 7)]));
      const instance = { entry, sizes, inputDtypes: new Map() };
      const lowered = loweredEntry(checked, instance);
      const { written } = evaluateEntry(checked, entry, sizes, 7);
      const off = distance(written, await runPtx(lowered, instance, given, { target: 'sm_80' }));
      if (off > deviceToleranceOf(written)) return `at ${JSON.stringify([...sizes])}: ${off} off`;
    }
    return undefined;
  },
};
