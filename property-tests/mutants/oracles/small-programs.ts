/** Small programs (`file: entry`) mean the same after the optimizer, on the evaluator. */
import { describeEntry } from '../../../compiler/lower/entry.ts';
import { lower } from '../../../driver/lower.ts';
import { randomInput } from '../../../driver/random-inputs.ts';
import { runReference } from '../../../driver/run-reference.ts';
import { namedProgram } from '../../named-program.ts';
import { distance } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';

/** Constants are folded in f32. */
const tolerance = 1e-6;

export const oracle: Oracle = {
  cases: [],
  check: (name) => {
    const { checked, entry, instances } = namedProgram(name);
    for (const sizes of instances) {
      const inputs = new Map(
        describeEntry(checked.program, entry).inputs.map((each) => [each.path, randomInput(each, sizes, 7)]),
      );
      const lowered = lower(checked, { entry, sizes, inputDtypes: new Map() });
      if (lowered.kind === 'rejected') return lowered.diagnostics[0]!.message;
      const off = distance(runReference(lowered.graph, inputs), runReference(lowered.optimized, inputs));
      if (off > tolerance) return `at ${JSON.stringify([...sizes])}: ${off} off`;
    }
    return undefined;
  },
};
