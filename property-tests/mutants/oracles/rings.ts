/** Products in rings are the products that they stand for, and send as much. */
import { choicesOf } from '../../../compiler/graph/choice-tape.ts';
import { float32 } from '../../../compiler/graph/float32.ts';
import { exactOptions } from '../../../compiler/partition/collectives/options.ts';
import { optimizeDevice } from '../../../compiler/partition/collectives/passes.ts';
import { randomProduct } from '../../../compiler/partition/collectives/random-products.ts';
import { evaluateOnMesh } from '../../../compiler/partition/evaluate-mesh.ts';
import { exactAlgebra } from '../../../compiler/partition/random-partition.ts';
import { difference } from '../../../compiler/partition/random-programs.ts';
import { numbered, type Oracle } from '../mutant.ts';

const links = new Map(['a', 'b'].map((axis) => [axis, { bytesPerSecond: 1, latencySeconds: 0 }]));
/** Moving and multiplying take long, and starting a kernel nothing. */
const rings = { links, flopsPerSecond: 1, launchSeconds: 0 };

export const oracle: Oracle = {
  cases: numbered(100),
  check: (name) => {
    const choose = choicesOf(5)(name);
    const { form, device, inputs } = randomProduct(Array.from({ length: 200 }, () => choose(2 ** 16)));
    const ring = optimizeDevice(device, { ...exactOptions, reassociates: true, rings });
    const algebra = form === 'rows' || form === 'columns' ? float32 : exactAlgebra();
    const [wanted, found] = [device, ring].map((own) => evaluateOnMesh(own, inputs, algebra));
    const different = difference(wanted!.outputs, found!.outputs);
    if (different !== undefined) return different;
    const [before, now] = [wanted!, found!].map(({ sent }) =>
      [...sent.values()].reduce((sum, each) => sum + each, 0),
    );
    return Math.abs(before! - now!) > 1e-6 ? `${before} bytes sent before, ${now} after` : undefined;
  },
};
