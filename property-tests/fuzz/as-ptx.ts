/** Whether kernels in PTX do, in the emulator, what the evaluator does, and nothing that they may not. */
import { optimize } from '../../compiler/optimize/passes.ts';
import type { Advice } from '../../compiler/tiles/choices/advice.ts';
import type { PtxTarget } from '../../compiler/tiles/ptx-target.ts';
import { compilePtx } from '../../driver/compile.ts';
import { emulatorDevice } from '../../runtime/cuda/emulator-device.ts';
import { loadCuda } from '../../runtime/cuda/load.ts';
import { numbers, tensorsOf } from './on-adapter.ts';
import { expectedOutputs, faultOf } from './shaken.ts';
import type { Subject } from './subject.ts';
import { type Verdict, verdict } from './verdict.ts';

/** @param advice how its schedules are chosen, if not as ever */
export async function runsAsPtx(
  { program: { graph, inputs } }: Subject,
  target: PtxTarget,
  advice: Advice | undefined,
): Promise<Verdict> {
  const wanted = expectedOutputs(graph, inputs);
  if (wanted === undefined) return 'not told';
  const instance = { entry: graph.name, sizes: new Map(), inputDtypes: new Map(), advice };
  const lowered = { optimized: optimize(graph), below: new Map() };
  const device = emulatorDevice({ target });
  try {
    const loaded = loadCuda(compilePtx(lowered, instance, target).package, device);
    return verdict(faultOf(wanted, numbers(await loaded.run(tensorsOf(graph, inputs)))));
  } finally {
    device.release();
  }
}
