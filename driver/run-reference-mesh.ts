/** The program of each device of a mesh, on the reference evaluator. */
import { float64 } from '../compiler/graph/float64.ts';
import { elementCount } from '../compiler/graph/tensor-type.ts';
import { allTensors } from '../compiler/graph/uses.ts';
import { evaluateOnMesh } from '../compiler/partition/evaluate-mesh.ts';
import type { DeviceProgram } from '../compiler/partition/localize.ts';
import { deviceCount } from '../dsl/placement/placement.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { checkMainMemory } from './memory.ts';

/**
 * Whole tensors by path, as they are given.
 * @throws UserError `out-of-memory` before it begins, when what all devices hold does not fit in main memory.
 */
export function runReferenceOnMesh(
  program: DeviceProgram,
  inputs: ReadonlyMap<string, TensorData>,
): ReadonlyMap<string, TensorData> {
  const { graph, mesh } = program;
  const elements = [...allTensors(graph).values()].reduce((sum, tensor) => sum + elementCount(tensor), 0);
  checkMainMemory('the reference evaluator', elements * deviceCount(mesh) * Float64Array.BYTES_PER_ELEMENT);
  const values = [...inputs].map(([path, tensor]) => {
    const { dtype, shape } = tensor;
    return [path, { dtype, shape, data: tensorValues(tensor) }] as const;
  });
  const { outputs } = evaluateOnMesh(program, new Map(values), float64);
  return new Map(
    [...outputs].map(([path, { dtype, shape, data }]) => [
      path,
      tensorFromValues(dtype, shape, Float64Array.from(data as ArrayLike<number>)),
    ]),
  );
}
