/** Small programs (`file: entry`, or `file: entry N=3,M=4`) compute in WebAssembly what the evaluator does. */
import { namedProgram } from '../../named-program.ts';
import { deviceToleranceOf, distance, evaluateEntry, runWasm } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';

export const oracle: Oracle = {
  cases: [],
  check: async (name) => {
    const { checked, entry, instances } = namedProgram(name);
    for (const sizes of instances) {
      const { written } = evaluateEntry(checked, entry, sizes, 7);
      const off = distance(written, await runWasm(checked, entry, sizes, 7));
      if (off > deviceToleranceOf(written)) return `at ${JSON.stringify([...sizes])}: ${off} off`;
    }
    return undefined;
  },
};
