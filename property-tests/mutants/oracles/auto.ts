/** What the compiler places by itself is legal, and computes what the program does. */
import { choicesOf, pick } from '../../../compiler/graph/choice-tape.ts';
import { float64 } from '../../../compiler/graph/float64.ts';
import { withoutCollectives } from '../../../compiler/optimize/collectives.ts';
import { autoPlace } from '../../../compiler/partition/auto/auto-place.ts';
import { defaultCostModel } from '../../../compiler/partition/auto/cost-model.ts';
import { resized } from '../../../compiler/partition/evaluate-mesh.ts';
import { localize } from '../../../compiler/partition/localize.ts';
import { scatter } from '../../../compiler/partition/random-partition.ts';
import { fault } from '../../../compiler/partition/random-programs.ts';
import { draw } from '../../fuzz/subject.ts';
import { numbered, numberOf, type Oracle } from '../mutant.ts';

export const oracle: Oracle = {
  cases: numbered(200),
  check: (name) => {
    const { program, seed, cuts } = draw(41, numberOf(name), 1);
    const { mesh } = cuts[0]!;
    const choose = choicesOf(seed)('costs');
    const flopsPerSecond = pick(choose, [1, 1e3, 1e6, 1e14]);
    const costs = {
      ...defaultCostModel,
      flopsPerSecond,
      link: { bytesPerSecond: pick(choose, [1e3, 1e6, 1e12]), latencySeconds: 0 },
    };
    const graph = withoutCollectives(program.graph);
    const found = autoPlace(graph, { mesh, inputs: new Map(), outputs: new Map(), costs });
    if (found.kind !== 'placed') return found.kind;
    const device = { ...localize(found.placed), whole: found.whole };
    const blocks = found.placed.graph.inputs.map(({ path, tensor }, position) => {
      const whole = resized(program.inputs.get(tensor.id)!, tensor.shape, float64);
      return [path, scatter(whole, device.inputs.get(path)!, mesh, position)] as const;
    });
    const wrong = fault({ program, placed: found.placed, device, blocks: new Map(blocks) });
    return wrong === 'not exact' ? undefined : wrong;
  },
};
