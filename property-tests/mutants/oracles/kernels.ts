/** Small programs (`file: entry`, or `file: entry N=3,M=4`) compute on a device what the evaluator does. */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import { distance, runEntry } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';
import { namedProgram } from '../named-program.ts';

const tolerance = 2e-5;

export const oracle: Oracle = {
  cases: [],
  check: async (name, device) => {
    const { checked, entry, instances } = namedProgram(name);
    for (const sizes of instances) {
      const { written, wgsl } = await runEntry(checked, entry, sizes, 7, device);
      const ulps = [...written.values()].map(({ dtype }) =>
        dtypeFacts[dtype].class === 'float' && dtype !== 'f32' ? 2 ** -dtypeFacts[dtype].mantissa : 0,
      );
      const off = distance(written, wgsl);
      if (off > Math.max(tolerance, ...ulps)) return `at ${JSON.stringify([...sizes])}: ${off} off`;
    }
    return undefined;
  },
};
