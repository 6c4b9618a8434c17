/** Whether kernels in WebAssembly compute what the evaluator does. */
import type { Graph } from '../../compiler/graph/graph.ts';
import { optimize } from '../../compiler/optimize/passes.ts';
import type { Advice } from '../../compiler/tiles/choices/advice.ts';
import { compileWasm } from '../../driver/compile.ts';
import { wasmDeviceHere } from '../../runtime/wasm/features.ts';
import { loadWasm } from '../../runtime/wasm/load.ts';
import { numbers, tensorsOf } from './on-adapter.ts';
import { expectedOutputs, faultOf } from './shaken.ts';
import type { Subject } from './subject.ts';
import { type Verdict, verdict } from './verdict.ts';

interface Variation {
  /** What is run, where it is not the program itself. */
  readonly compiled?: Graph;
  readonly advice?: Advice;
}

export async function runsInWasm(
  { program: { graph, inputs } }: Subject,
  { compiled = graph, advice }: Variation = {},
): Promise<Verdict> {
  const wanted = expectedOutputs(graph, inputs);
  if (wanted === undefined) return 'not told';
  const instance = { entry: graph.name, sizes: new Map(), inputDtypes: new Map(), advice };
  const lowered = { optimized: optimize(compiled), below: new Map() };
  const loaded = await loadWasm(compileWasm(lowered, instance, wasmDeviceHere()).package, { threads: 1 });
  try {
    return verdict(faultOf(wanted, numbers(loaded.run(tensorsOf(graph, inputs)))));
  } finally {
    loaded.destroy();
  }
}
