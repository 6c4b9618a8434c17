/** The last step of compiling to WebAssembly: a module and the order of its kernels become a package. */
import type { Graph } from '../graph/graph.ts';
import type { DeviceProfile } from '../tiles/device-profile.ts';
import type { Schedule } from '../tiles/scheduled.ts';
import { checkMesh } from './check-mesh.ts';
import type { LaunchedKernel } from './kernel.ts';
import { packageFormat, packageVersion, type WasmManifest, type WasmPackage } from './package.ts';
import { type PlanOptions, planLaunches } from './plan-launches.ts';
import { packedBytes } from './storage-bytes.ts';
import { checkWasmMemory, wasmMemory } from './wasm-memory.ts';

/** @throws UserError `exceeds-device` when it does not fit into the memory of a module, or is for another mesh */
export function planWasmPackage(
  graph: Graph,
  scheduled: Schedule,
  compiled: readonly LaunchedKernel[],
  module: Uint8Array<ArrayBuffer>,
  device: DeviceProfile,
  options: PlanOptions = {},
): WasmPackage {
  const { kernels, tensors, entry, sizes, mesh, inputs, outputs, slots, steps } = planLaunches(
    graph,
    scheduled,
    compiled,
    options,
  );
  const peakBytes = wasmMemory(slots).bytes;
  checkWasmMemory(entry, peakBytes);
  const manifest: WasmManifest = {
    format: packageFormat,
    version: packageVersion,
    target: 'wasm',
    ...{ entry, sizes },
    ...(mesh === undefined ? {} : { mesh }),
    ...{ inputs, outputs },
    kernels: kernels.map(({ name, grid, bindings, counters, coordinates = [] }) => ({
      name,
      groups: grid.reduce((total, extent) => total * extent, 1),
      bindings: bindings.map(({ access }) => access),
      counters: counters.length,
      ...(coordinates.length === 0 ? {} : { coordinates: [...coordinates] }),
      tensors: bindings.map(({ tensor: id }) => {
        const tensor = tensors.get(id)!;
        return { name: tensor.name, bytes: packedBytes(tensor) };
      }),
    })),
    ...{ slots, steps, peakBytes },
    requires: { features: device.core?.multiplyAdd === true ? ['relaxed-simd'] : [] },
  };
  checkMesh(manifest);
  return { manifest, module };
}
