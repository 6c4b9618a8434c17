/** An entry as PTX, in the emulator, which refuses what a GPU might let pass. */
import type { PtxTarget } from '../compiler/tiles/ptx-target.ts';
import { compilePtx, type ForDevice } from '../driver/compile.ts';
import type { Instance } from '../driver/lower.ts';
import { type EmulatorOptions, emulatorDevice } from '../runtime/cuda/emulator-device.ts';
import { loadCuda } from '../runtime/cuda/load.ts';
import type { Tensors } from './run-entry.ts';

export type PtxOptions = EmulatorOptions & { readonly target: PtxTarget };

export async function runPtx(
  lowered: ForDevice,
  instance: Instance,
  inputs: Tensors,
  options: PtxOptions,
): Promise<Tensors> {
  const device = emulatorDevice({ checksGlobalRaces: true, ...options });
  const { run } = loadCuda(compilePtx(lowered, instance, options.target).package, device);
  try {
    return await run(inputs);
  } finally {
    device.release();
  }
}
