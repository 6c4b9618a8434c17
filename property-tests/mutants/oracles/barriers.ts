/**
 * Kernels of a small program (`file: entry N=3,M=4`) for a GPU have a barrier between a write to a tile that a
 * workgroup shares and a read of it, and between a read and the next write. Told from their text: a software
 * adapter need not show what invocations do to each other.
 */
import { compileFor } from '../../../driver/compile.ts';
import { lower } from '../../../driver/lower.ts';
import { namedProgram } from '../../named-program.ts';
import { raceIn } from '../../races.ts';
import type { Oracle } from '../mutant.ts';

export const oracle: Oracle = {
  cases: [],
  check: (name, device) => {
    const { checked, entry, instances } = namedProgram(name);
    const instance = { entry, sizes: instances[0]!, inputDtypes: new Map() };
    const lowered = lower(checked, instance);
    if (lowered.kind === 'rejected') return 'is rejected';
    const compiled = compileFor(lowered, instance, { ...device.profile, software: false });
    for (const [kernel, text] of compiled.package.code) {
      const found = raceIn(text);
      if (found !== undefined) return `${kernel}: ${found}`;
    }
    return undefined;
  },
};
