/** Random programs mean the same with all passes, and with one of them alone, to the bit. */
import { choicesOf } from '../../../compiler/graph/choice-tape.ts';
import { evaluateGraph } from '../../../compiler/graph/evaluate.ts';
import { float32 } from '../../../compiler/graph/float32.ts';
import { randomProgram } from '../../../compiler/graph/random-graph.ts';
import { optimize, passes } from '../../../compiler/optimize/passes.ts';
import { difference } from '../../../compiler/partition/random-programs.ts';
import { numbered, numberOf, type Oracle } from '../mutant.ts';
import { withTwins } from '../twins.ts';

const sizes = [4, 2, 6, 3, 5, 1, 2, 0];
const names = passes.map(({ name }) => name);

export const oracle: Oracle = {
  cases: numbered(400),
  check: (name) => {
    const at = numberOf(name);
    const stage = at % 4 === 0 ? 'optimized' : 'lowered';
    const choose = choicesOf(11)(name);
    const { graph, inputs } = withTwins(randomProgram(choose, sizes, stage), choose);
    const alone = names[at % names.length]!;
    const wanted = evaluateGraph(graph, inputs, float32);
    for (const skip of [new Set<string>(), new Set(names.filter((each) => each !== alone))]) {
      const found = difference(wanted, evaluateGraph(optimize(graph, { skip }), inputs, float32));
      if (found !== undefined) return found;
    }
    return undefined;
  },
};
