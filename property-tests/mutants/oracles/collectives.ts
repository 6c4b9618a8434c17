/**
 * Random programs with detours: with the passes over collectives the devices compute the same, to the bit or
 * in exact arithmetic, and send no more. What a pass gives is taken.
 */

import { choicesOf } from '../../../compiler/graph/choice-tape.ts';
import { float32 } from '../../../compiler/graph/float32.ts';
import { randomProgram } from '../../../compiler/graph/random-graph.ts';
import { type CollectiveOptions, exactOptions } from '../../../compiler/partition/collectives/options.ts';
import { localizeOptimized } from '../../../compiler/partition/collectives/passes.ts';
import { blocksOf, randomDetours } from '../../../compiler/partition/collectives/random-detours.ts';
import { evaluateOnMesh } from '../../../compiler/partition/evaluate-mesh.ts';
import { localize } from '../../../compiler/partition/localize.ts';
import { exactAlgebra } from '../../../compiler/partition/random-partition.ts';
import { difference } from '../../../compiler/partition/random-programs.ts';
import { numbered, type Oracle } from '../mutant.ts';

const sizes = [4, 2, 6, 12, 3, 4, 1, 2, 0];
const choices: readonly CollectiveOptions[] = [
  exactOptions,
  { ...exactOptions, reassociates: true },
  { ...exactOptions, mergedBytes: 4096 },
];

export const oracle: Oracle = {
  cases: numbered(200),
  check: (name) => {
    const choose = choicesOf(31)(name);
    const program = randomProgram(choose, sizes, 'lowered');
    const tape = Array.from({ length: 250 }, () => choose(2 ** 16));
    const placed = randomDetours(program, tape);
    if (placed === undefined) return undefined;
    for (const options of choices) {
      const rejected: string[] = [];
      const after = localizeOptimized(placed, options, (...why) => rejected.push(why.join(': ')));
      if (rejected.length > 0) return `not taken: ${rejected[0]}`;
      const algebra = options.reassociates ? exactAlgebra() : undefined;
      const [wanted, found] = [localize(placed), after].map((device) =>
        evaluateOnMesh(device, blocksOf(program, device), algebra ?? float32),
      );
      if (algebra?.isExact() === false) continue;
      const different = difference(wanted!.outputs, found!.outputs);
      if (different !== undefined) return different;
      const [before, now] = [wanted!, found!].map(({ sent }) =>
        [...sent.values()].reduce((sum, each) => sum + each, 0),
      );
      if (now! > before! + 1e-6) return `${before} bytes sent before, ${now} after`;
    }
    return undefined;
  },
};
