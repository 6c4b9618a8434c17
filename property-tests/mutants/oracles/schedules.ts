/**
 * Small programs (`file: entry N=3,M=4`) compute in WebAssembly what the evaluator does, as every choice of a form has
 * them (`…, tiles`), the others chosen as ever.
 */
import { printChoice } from '../../../compiler/tiles/choices/choice-text.ts';
import { allChoices, firstChoice, type Problem } from '../../../compiler/tiles/choices/problem.ts';
import { wasmDevice } from '../../../compiler/tiles/device-profile.ts';
import { namedProgram } from '../../named-program.ts';
import { deviceToleranceOf, distance, evaluateEntry, runWasm } from '../../run-entry.ts';
import type { Oracle } from '../mutant.ts';

export const oracle: Oracle = {
  cases: [],
  check: async (name) => {
    const [program, form] = name.split(', ') as [string, string];
    const { checked, entry, instances } = namedProgram(program);
    const { written } = evaluateEntry(checked, entry, instances[0]!, 7);
    let count = 1;
    for (let at = 0; at < count; at++) {
      let said = '';
      const advice = (problem: Problem) => {
        const all = allChoices(problem, wasmDevice).filter((choice) => choice.form === form);
        const choice = all[at % all.length] ?? firstChoice(problem, wasmDevice);
        if (all.length > 0) [count, said] = [Math.max(count, all.length), printChoice(choice)];
        return choice;
      };
      const off = distance(
        written,
        await runWasm(checked, entry, instances[0]!, 7, { device: wasmDevice, advice }),
      );
      if (off > deviceToleranceOf(written)) return `${said}: ${off} off`;
    }
    return undefined;
  },
};
