/** Small programs (`file: entry`, or `file: entry N=3,M=4`) compute in WebAssembly what the evaluator does. */
import { deviceToleranceOf, distance, evaluateEntry, runWasm } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';
import { namedInstances } from '../named-instances.ts';

export const oracle: Oracle = async ({ on }) => {
  for (const name of on) {
    const { checked, entry, instances } = namedInstances(name);
    for (const sizes of instances) {
      const { written } = evaluateEntry(checked, entry, sizes, 7);
      const off = distance(written, await runWasm(checked, entry, sizes, 7));
      if (off > deviceToleranceOf(written)) return `${name} at ${JSON.stringify([...sizes])}: ${off} off`;
    }
  }
  return undefined;
};
