/** Ways of running a program, over whatever algebra: what a relation of two of its outputs is judged by. */
import type { Algebra, TensorValue } from '../../compiler/graph/algebra.ts';
import { evaluateGraph } from '../../compiler/graph/evaluate.ts';
import type { Graph } from '../../compiler/graph/graph.ts';
import { isFloat } from '../../compiler/graph/tensor-type.ts';
import { evaluateOnMesh } from '../../compiler/partition/evaluate-mesh.ts';
import type { DeviceProgram } from '../../compiler/partition/localize.ts';

export type Values<V> = ReadonlyMap<string, TensorValue<V>>;

/** From inputs by path to outputs by path. */
export type Run = <V>(algebra: Algebra<V>, inputs: Values<V>) => Values<V>;

/** The whole program on the reference evaluator. */
export function runOnReference(graph: Graph): Run {
  return (algebra, inputs) => {
    const values = graph.inputs.map(({ path, tensor }) => {
      const value = inputs.get(path);
      if (value === undefined) throw new Error(`no value for the input ${path}`);
      return [tensor.id, value] as const;
    });
    return evaluateGraph(graph, new Map(values), algebra);
  };
}

/** The program of each device of a mesh, in step. */
export function runOnMesh(program: DeviceProgram): Run {
  return (algebra, inputs) => evaluateOnMesh(program, inputs, algebra).outputs;
}

/** Inputs as values of the algebra. */
export function inputsOver<V>(algebra: Algebra<V>, inputs: Values<number>): Values<V> {
  return new Map([...inputs].map(([path, value]) => [path, valueOver(algebra, value)]));
}

function valueOver<V>(algebra: Algebra<V>, value: TensorValue<number>): TensorValue<V> {
  if (!isFloat(value)) return value as TensorValue<V>;
  const { dtype, shape, data } = value;
  const floats = algebra.createStorage(data.length);
  for (let position = 0; position < data.length; position++)
    floats[position] = algebra.constant(data[position]!);
  return { dtype, shape, data: floats };
}

/** The run, with a memory of its outputs by algebra: for one case, whose inputs are always the same. */
export function remembered(run: Run): Run {
  const known = new Map<unknown, Values<unknown>>();
  return <V>(algebra: Algebra<V>, inputs: Values<V>): Values<V> => {
    const found = (known.get(algebra) as Values<V> | undefined) ?? run(algebra, inputs);
    known.set(algebra, found);
    return found;
  };
}
