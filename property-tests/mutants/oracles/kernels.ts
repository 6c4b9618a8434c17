/**
 * Small programs (`file: entry`, or `file: entry N=3,M=4`) compute on a device what the evaluator does: as kernels
 * for the device that there is, or as for another one that can do less or more (`…, on a GPU`).
 */
import type { DeviceProfile } from '../../../compiler/tiles/device-profile.ts';
import { namedProgram } from '../../named-program.ts';
import { deviceToleranceOf, distance, runEntry } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';

/** What is another one like, in what a schedule goes by. */
const profiles: { readonly [where: string]: Partial<DeviceProfile> } = {
  'on a GPU': { software: false },
  'on a small GPU': { software: false, maxWorkgroupBytes: 1024 },
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
      const off = distance(written, wgsl);
      if (off > deviceToleranceOf(written)) return `at ${JSON.stringify([...sizes])}: ${off} off`;
    }
    return undefined;
  },
};
