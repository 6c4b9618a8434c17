/**
 * Small programs (`file: entry`, or `file: entry N=3,M=4`) compute on a device what the evaluator does: as kernels
 * for the device that there is, or as for another one that can do less or more (`…, on a GPU`).
 */
import type { DeviceProfile } from '../../../compiler/tiles/device-profile.ts';
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import { namedProgram } from '../../named-program.ts';
import { distance, runEntry } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';

const tolerance = 2e-5;

/** What is another one like, in what a schedule goes by. */
const profiles: { readonly [where: string]: Partial<DeviceProfile> } = {
  'on a GPU': { software: false },
  'without subgroups': { subgroupSize: undefined },
  'with few workgroups': { maxWorkgroupsPerDimension: 5 },
};

export const oracle: Oracle = {
  cases: [],
  check: async (name, device) => {
    const [program, where] = name.split(', ') as [string, string | undefined];
    const profile = { ...device.profile, ...(where === undefined ? {} : profiles[where]!) };
    const { checked, entry, instances } = namedProgram(program);
    for (const sizes of instances) {
      const { written, wgsl } = await runEntry(checked, entry, sizes, 7, { ...device, profile });
      const ulps = [...written.values()].map(({ dtype }) =>
        dtypeFacts[dtype].class === 'float' && dtype !== 'f32' ? 2 ** -dtypeFacts[dtype].mantissa : 0,
      );
      const off = distance(written, wgsl);
      if (off > Math.max(tolerance, ...ulps)) return `at ${JSON.stringify([...sizes])}: ${off} off`;
    }
    return undefined;
  },
};
