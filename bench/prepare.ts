/** A case ready to be compiled, its inputs, and how far a result is from the reference evaluator's. */
import { join } from 'node:path';
import { describeEntry } from '../compiler/lower/entry.ts';
import { checkFile } from '../driver/check.ts';
import { type Instance, type Lowered, lower } from '../driver/lower.ts';
import { packageRoot } from '../driver/package-root.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { type TensorData, tensorValues } from '../runtime/weights/tensor-data.ts';
import { accepted } from './accepted.ts';
import type { Case } from './cases.ts';

export interface Prepared {
  readonly instance: Instance;
  readonly lowered: Lowered;
  readonly inputs: ReadonlyMap<string, TensorData>;
  /** max |got − wanted| / max(|wanted|, rms(wanted)) of the first output. */
  readonly error: (outputs: ReadonlyMap<string, TensorData>) => number;
}

export function prepare({ entry, sizes }: Case): Prepared {
  const checked = accepted(checkFile(join(packageRoot, 'bench/cases.ricci')));
  const instance = { entry, sizes: new Map(Object.entries(sizes)), inputDtypes: new Map() };
  const inputs = new Map(
    describeEntry(checked.program, entry).inputs.map((input) => [
      input.path,
      randomInput(input, instance.sizes, 1),
    ]),
  );
  const lowered = accepted(lower(checked, instance));
  return {
    ...{ instance, lowered, inputs },
    error: (outputs) => {
      const [output] = [...outputs.values()].map(tensorValues);
      const [reference] = [...runReference(lowered.graph, inputs).values()].map(tensorValues);
      return relativeError(reference ?? new Float64Array(), output ?? new Float64Array());
    },
  };
}

function relativeError(wanted: Float64Array, got: Float64Array): number {
  const rms = Math.sqrt(wanted.reduce((sum, value) => sum + value * value, 0) / Math.max(1, wanted.length));
  return wanted.reduce(
    (worst, value, place) =>
      Math.max(worst, Math.abs(value - (got[place] ?? Number.NaN)) / Math.max(Math.abs(value), rms, 1e-30)),
    0,
  );
}
