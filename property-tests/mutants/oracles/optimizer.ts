/** Random programs mean the same with all passes, and with one of them alone, to the bit. */
import { choicesOf } from '../../../compiler/graph/choice-tape.ts';
import { evaluateGraph } from '../../../compiler/graph/evaluate.ts';
import { float32 } from '../../../compiler/graph/float32.ts';
import { randomProgram } from '../../../compiler/graph/random-graph.ts';
import { optimize, passes } from '../../../compiler/optimize/passes.ts';
import { difference } from '../../../compiler/partition/random-programs.ts';
import type { Oracle } from '../mutant.ts';
import { withTwins } from '../twins.ts';

const programs = 300;
const sizes = [4, 2, 6, 3, 5, 1, 2, 0];
const names = passes.map(({ name }) => name);

export const oracle: Oracle = () => {
  const chooseFor = choicesOf(11);
  for (let at = 0; at < programs; at++) {
    const stage = at % 4 === 0 ? 'optimized' : 'lowered';
    const choose = chooseFor(`program ${at}`);
    const { graph, inputs } = withTwins(randomProgram(choose, sizes, stage), choose);
    const alone = names[at % names.length]!;
    const wanted = evaluateGraph(graph, inputs, float32);
    for (const skip of [new Set<string>(), new Set(names.filter((name) => name !== alone))]) {
      const found = difference(wanted, evaluateGraph(optimize(graph, { skip }), inputs, float32));
      if (found !== undefined) return `program ${at}: ${found}`;
    }
  }
  return undefined;
};
