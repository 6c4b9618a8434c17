/** The reference evaluator on tensors as files hold them. */
import { evaluateGraph } from '../compiler/graph/evaluate.ts';
import { float64 } from '../compiler/graph/float64.ts';
import type { Graph } from '../compiler/graph/graph.ts';
import { elementCount } from '../compiler/graph/tensor-type.ts';
import { allTensors } from '../compiler/graph/uses.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { checkMainMemory } from './memory.ts';
import { type Progress, silent } from './progress.ts';

/**
 * The outputs by path. `inputs` has a value of the right dtype and shape for each input of the graph.
 * @throws UserError `out-of-memory` before it begins, when the graph's tensors do not fit in main memory.
 */
export function runReference(
  graph: Graph,
  inputs: ReadonlyMap<string, TensorData>,
  progress: Progress = silent,
): ReadonlyMap<string, TensorData> {
  const elements = [...allTensors(graph).values()].reduce((sum, tensor) => sum + elementCount(tensor), 0);
  checkMainMemory('the reference evaluator', elements * Float64Array.BYTES_PER_ELEMENT);
  const values = graph.inputs.map(({ path, tensor }) => {
    const data = inputs.get(path);
    if (data === undefined) throw new Error(`no value for the input ${path}`);
    return [tensor.id, { dtype: tensor.dtype, shape: tensor.shape, data: tensorValues(data) }] as const;
  });
  const outputs = evaluateGraph(graph, new Map(values), float64, (done, total) =>
    progress('evaluating', done, total),
  );
  return new Map(
    [...outputs].map(([path, { dtype, shape, data }]) => [
      path,
      tensorFromValues(dtype, shape, Float64Array.from(data as ArrayLike<number>)),
    ]),
  );
}
