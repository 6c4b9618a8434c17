/** Attention as a ring: on every mesh the same as it is written, and never all keys on a device. */
import { describe, expect, test } from 'vitest';
import type { Mesh } from '../../../dsl/placement/placement.ts';
import type { TensorValue } from '../../graph/algebra.ts';
import { evaluateGraph } from '../../graph/evaluate.ts';
import { float64 } from '../../graph/float64.ts';
import type { ExchangeVerb, Graph } from '../../graph/graph.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { threefry2x32 } from '../../graph/threefry.ts';
import { entryPlacements } from '../../lower/entry-placements.ts';
import { lowerEntry } from '../../lower/lower-entry.ts';
import { checkText, expectClose } from '../../lower/testing.ts';
import { optimize } from '../../optimize/passes.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import { localize } from '../localize.ts';
import { place } from '../place.ts';
import { meshOf } from '../testing.ts';
import { ringOver } from './ring-over.ts';

type Sizes = Readonly<Record<string, number>>;
type Tensors = ReadonlyMap<string, TensorValue<number>>;

function graphOf(text: string, sizes: Sizes) {
  const program = checkText(`import attention\nmesh (sp, tp)\n${text}`);
  const own = Object.entries(sizes).filter(([name]) => program.entries.get('f')!.sizes.includes(name));
  const lowered = lowerEntry(program, 'f', { sizes: new Map(own), inputDtypes: new Map() });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  return { graph: lowered.graph, placements: entryPlacements(program, 'f') };
}

/** Multiples of 1/8, of both signs; documents of five tokens. */
function inputsFor({ inputs }: Graph): Tensors {
  return new Map(
    inputs.map(({ path, tensor }) => {
      const data = Float64Array.from({ length: elementCount(tensor) }, (_, at) =>
        path === 'document' ? Math.floor(at / 5) : ((threefry2x32(7, tensor.id, at, 0)[0] % 33) - 16) / 8,
      );
      return [path, { dtype: tensor.dtype, shape: tensor.shape, data }];
    }),
  );
}

interface Run {
  readonly wanted: TensorValue<number>;
  readonly out: TensorValue<number>;
  readonly optimized: TensorValue<number>;
  /** What a device runs, optimized. */
  readonly device: Graph;
  readonly sent: ReadonlyMap<ExchangeVerb, number>;
}

function run(text: string, sizes: Sizes, mesh: Mesh, change = (graph: Graph): Graph => graph): Run {
  const { graph, placements } = graphOf(text, sizes);
  const ring = ringOver(graph, 'sp', mesh);
  expect(ring === graph).toBe(mesh.axes.every(({ name }) => name !== 'sp'));
  const placed = place(change(ring), { mesh, ...placements });
  if (placed.kind === 'misplaced') throw new Error(placed.faults.map(({ message }) => message).join('\n'));
  const device = localize(placed.placed);
  const faster = optimize(device.graph);
  const inputs = inputsFor(graph);
  const ids = new Map(graph.inputs.map(({ path, tensor }) => [tensor.id, inputs.get(path)!]));
  const { outputs, sent } = evaluateOnMesh(device, inputs, float64);
  return {
    wanted: evaluateGraph(graph, ids, float64).get('out')!,
    out: outputs.get('out')!,
    optimized: evaluateOnMesh({ ...device, graph: faster }, inputs, float64).outputs.get('out')!,
    device: faster,
    sent,
  };
}

const values = ({ data, shape }: TensorValue<number>) => ({ data: Array.from(data), shape });

const signature = `export auto fn f(
  q: f32[S@sp, G * R@tp, A], k: f32[S@sp, G@tp, A], v: f32[S@sp, G@tp, B], document: i32[S@sp],
) -> f32[S@sp, G * R@tp, B] =
`;

const attentions: Readonly<Record<string, string>> = {
  causal: `${signature} attention.causal(q, k, v)`,
  full: `${signature} attention.full(q, k, v)`,
  windowed: `${signature} attention.windowed[5](q, k, v)`,
  documents: `${signature} attention.documents(q, k, v, document)`,
  capped: `${signature} attention.causal_capped(q, k, v, 2.0)`,
};
const sizes = { S: 24, G: 2, R: 3, A: 4, B: 3 };
const meshes = [{ sp: 2 }, { sp: 3 }, { sp: 4, tp: 2 }, { tp: 2, sp: 2 }, { sp: 8 }, { tp: 2 }].map(meshOf);

describe.each(Object.entries(attentions))('%s', (_, text) => {
  test.each(
    meshes.map((mesh) => [mesh.axes.map(({ name, size }) => `${name}=${size}`).join(' '), mesh] as const),
  )('is the same on %s', (_, mesh) => {
    const { optimized, out, wanted } = run(text, sizes, mesh);
    expectClose(values(out), values(wanted));
    expectClose(values(optimized), values(wanted));
  });
});
