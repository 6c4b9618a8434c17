/** Small programs (`file: entry`, or `file: entry N=3,M=4`) compute on a device what the evaluator does. */
import { deviceToleranceOf, distance, runEntry } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';
import { namedInstances } from '../named-instances.ts';

export const oracle: Oracle = async ({ on, device }) => {
  for (const name of on) {
    const { checked, entry, instances } = namedInstances(name);
    for (const sizes of instances) {
      const { written, wgsl } = await runEntry(checked, entry, sizes, 7, device);
      const off = distance(written, wgsl);
      if (off > deviceToleranceOf(written)) return `${name} at ${JSON.stringify([...sizes])}: ${off} off`;
    }
  }
  return undefined;
};
