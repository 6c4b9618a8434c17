/** Attention as a ring computes on a mesh what it is written as. */
import { evaluateGraph } from '../../../compiler/graph/evaluate.ts';
import { float64 } from '../../../compiler/graph/float64.ts';
import { elementCount } from '../../../compiler/graph/tensor-type.ts';
import { threefry2x32 } from '../../../compiler/graph/threefry.ts';
import { lowerEntry } from '../../../compiler/lower/lower-entry.ts';
import { evaluateOnMesh } from '../../../compiler/partition/evaluate-mesh.ts';
import { localize } from '../../../compiler/partition/localize.ts';
import { place } from '../../../compiler/partition/place.ts';
import { ringOver } from '../../../compiler/partition/ring/ring-over.ts';
import { checkSmallProgram } from '../../small-programs.ts';
import type { Oracle } from '../mutant.ts';

const sizes = new Map([
  ['S', 12],
  ['G', 2],
  ['R', 2],
  ['A', 3],
  ['B', 2],
  ['H', 2],
]);
const devices = 4;
/** What is stored is f32. */
const tolerance = 1e-6;

export const oracle: Oracle = {
  cases: ['causal', 'windowed'],
  check: (entry) => {
    const { program } = checkSmallProgram('softmax.ricci');
    const mesh = { axes: [{ name: 'sp', size: devices }] };
    const cut = { dims: [['sp'], [], []], pending: new Map() };
    const names = program.entries.get(entry)!.sizes;
    const own = new Map([...sizes].filter(([name]) => names.includes(name)));
    const lowered = lowerEntry(program, entry, { sizes: own, inputDtypes: new Map() });
    if ('diagnostics' in lowered) return lowered.diagnostics[0]!.message;
    const { graph } = lowered;
    const values = graph.inputs.map(({ tensor: { id, dtype, shape } }) => {
      const draw = (at: number) => ((threefry2x32(7, id, at, 0)[0] % 33) - 16) / 8;
      const data = Float64Array.from({ length: elementCount({ shape }) }, (_, at) => draw(at));
      return { dtype, shape, data };
    });
    const paths = graph.inputs.map(({ path }) => path);
    const inputs = new Map(paths.map((path) => [path, cut] as const));
    const placed = place(ringOver(graph, 'sp', mesh), { mesh, inputs, outputs: new Map() });
    if (placed.kind === 'misplaced') return placed.faults[0]!.message;
    const wanted = evaluateGraph(
      graph,
      new Map(graph.inputs.map(({ tensor }, at) => [tensor.id, values[at]!])),
      float64,
    );
    const named = new Map(paths.map((path, at) => [path, values[at]!] as const));
    const { outputs } = evaluateOnMesh(localize(placed.placed), named, float64);
    for (const [path, { data }] of wanted)
      for (let at = 0; at < data.length; at++) {
        const [left, right] = [data[at] as number, outputs.get(path)!.data[at] as number];
        if (!(Math.abs(left - right) <= tolerance)) return `element ${at}: ${right}, not ${left}`;
      }
    return undefined;
  },
};
