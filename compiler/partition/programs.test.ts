import { describe, expect, test } from 'vitest';
import type { Mesh, Placement } from '../../dsl/placement/placement.ts';
import { float64 } from '../graph/float64.ts';
import { printGraph } from '../graph/print.ts';
import { evaluateForTest, lowerText, type TestTensors, tabulate } from '../lower/testing.ts';
import { evaluateOnMesh } from './evaluate-mesh.ts';
import { localize } from './localize.ts';
import { place } from './place.ts';

test('smoke', () => {
  const text = `mesh (tp)
export fn f(x: f32[T, D], w1: f32[D, F], w2: f32[F, D]) -> f32[T, D] {
  let h[t, f] = relu(sum d: x[t, d] * w1[d, f])
  let y = for t, d: sum f: h[t, f] * w2[f, d]
  all_reduce(y, tp)
}`;
  const inputs: TestTensors = {
    x: tabulate([2, 4], (a, b) => a! + b! - 2),
    w1: tabulate([4, 6], (a, b) => a! - b!),
    w2: tabulate([6, 4], (a, b) => a! + 2 * b! - 3),
  };
  const graph = lowerText(text, 'f', inputs);
  console.log(printGraph(graph));
  const mesh: Mesh = { axes: [{ name: 'tp', size: 2 }] };
  const cut = (...dims: string[][]): Placement => ({ dims, pending: new Map() });
  const result = place(graph, {
    mesh,
    inputs: new Map([
      ['w1', cut([], ['tp'])],
      ['w2', cut(['tp'], [])],
    ]),
    outputs: new Map(),
  });
  if (result.kind === 'misplaced') throw new Error(JSON.stringify(result.faults));
  const program = localize(result.placed);
  console.log(printGraph(program.graph));
  const values = new Map(
    graph.inputs.map(({ path, tensor }) => [
      path,
      { dtype: tensor.dtype, shape: tensor.shape, data: Float64Array.from(inputs[path]!.data) },
    ]),
  );
  const run = evaluateOnMesh(program, values, float64);
  console.log(run.sent, run.outputs.get('out'), evaluateForTest(graph, inputs));
});
