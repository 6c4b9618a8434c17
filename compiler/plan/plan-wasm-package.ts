/** The last step of compiling to WebAssembly: a module and the order of its kernels become a package. */
import { UserError } from '../../dsl/diagnostics/user-error.ts';
import type { Graph } from '../graph/graph.ts';
import type { DeviceProfile } from '../tiles/device-profile.ts';
import type { Schedule } from '../tiles/scheduled.ts';
import type { LaunchedKernel } from './kernel.ts';
import { packageFormat, packageVersion, type WasmManifest, type WasmPackage } from './package.ts';
import { type PlanOptions, planLaunches } from './plan-launches.ts';
import { bytesText, packedBytes } from './storage-bytes.ts';
import { wasmMemory } from './wasm-memory.ts';

/**
 * @throws UserError `exceeds-device` when it does not fit into the memory of a module; `wrong-input` when it
 * is for a mesh
 */
export function planWasmPackage(
  graph: Graph,
  scheduled: Schedule,
  compiled: readonly LaunchedKernel[],
  module: Uint8Array<ArrayBuffer>,
  device: DeviceProfile,
  options: PlanOptions = {},
): WasmPackage {
  if (options.mesh !== undefined)
    throw new UserError(
      'wrong-input',
      `${graph.name} is for a mesh, and kernels in WebAssembly run on one device`,
      'use --target wgsl, or leave --mesh out',
    );
  const { kernels, tensors, entry, sizes, inputs, outputs, slots, steps } = planLaunches(
    graph,
    scheduled,
    compiled,
    options,
  );
  const peakBytes = wasmMemory(slots).bytes;
  if (peakBytes > device.maxBufferBytes)
    throw new UserError(
      'exceeds-device',
      `${entry} takes ${bytesText(peakBytes)} of memory, and ${device.name} has ${bytesText(device.maxBufferBytes)}`,
      'use smaller sizes or narrower element types',
    );
  const manifest: WasmManifest = {
    format: packageFormat,
    version: packageVersion,
    target: 'wasm',
    ...{ entry, sizes, inputs, outputs },
    kernels: kernels.map(({ name, grid, bindings, counters }) => ({
      name,
      groups: grid.reduce((total, extent) => total * extent, 1),
      bindings: bindings.map(({ access }) => access),
      counters: counters.length,
      tensors: bindings.map(({ tensor: id }) => {
        const tensor = tensors.get(id)!;
        return { name: tensor.name, bytes: packedBytes(tensor) };
      }),
    })),
    ...{ slots, steps, peakBytes },
    requires: { features: device.core?.multiplyAdd === true ? ['relaxed-simd'] : [] },
  };
  return { manifest, module };
}
