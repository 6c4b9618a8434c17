/** The last step of compiling to WebAssembly: a module and the order of its kernels become a package. */
import type { Graph } from '../graph/graph.ts';
import type { DeviceProfile } from '../tiles/device-profile.ts';
import type { GridEnd } from '../tiles/ends.ts';
import type { Schedule } from '../tiles/scheduled.ts';
import { checkMesh } from './check-mesh.ts';
import type { LaunchedKernel } from './kernel.ts';
import { packageFormat, packageVersion, type WasmManifest, type WasmPackage } from './package.ts';
import { packageGridEnds } from './package-bounds.ts';
import { type PlanOptions, planLaunches } from './plan-launches.ts';
import { packedBytes } from './storage-bytes.ts';
import { checkWasmMemory, wasmMemory } from './wasm-memory.ts';

export interface WasmLaunchedKernel extends LaunchedKernel {
  /** Of the memory that a thread has to itself. */
  readonly scratchBytes?: number;
  /** Of a bounded program: the axes of the grid that `grid` counts through, and where they end in a run. */
  readonly axes?: {
    readonly groups: readonly number[];
    readonly ends: readonly (GridEnd | undefined)[];
  };
}

/** @throws UserError `exceeds-device` when it does not fit into the memory of a module, or is for another mesh */
export function planWasmPackage(
  graph: Graph,
  scheduled: Schedule,
  compiled: readonly WasmLaunchedKernel[],
  module: Uint8Array<ArrayBuffer>,
  device: DeviceProfile,
  options: PlanOptions = {},
): WasmPackage {
  const { kernels, tensors, entry, sizes, bounded, where, mesh, inputs, outputs, slots, steps } =
    planLaunches(graph, scheduled, compiled, options);
  const scratchBytes = Math.max(0, ...kernels.map((kernel) => kernel.scratchBytes ?? 0));
  const peakBytes = wasmMemory(slots, scratchBytes, 1).bytes;
  checkWasmMemory(entry, peakBytes);
  const manifest: WasmManifest = {
    format: packageFormat,
    version: packageVersion,
    target: 'wasm',
    ...{ entry, sizes },
    ...(bounded === undefined ? {} : { bounded }),
    ...(where === undefined ? {} : { where }),
    ...(mesh === undefined ? {} : { mesh }),
    ...{ inputs, outputs },
    kernels: kernels.map(({ name, grid, axes, bindings, counters, coordinates = [] }) => ({
      name,
      groups: grid.reduce((total, extent) => total * extent, 1),
      bindings: bindings.map(({ access }) => access),
      counters: counters.length,
      ...(coordinates.length === 0 ? {} : { coordinates: [...coordinates] }),
      ...(axes === undefined ? {} : { axes: { groups: [...axes.groups], ends: packageGridEnds(axes.ends) } }),
      tensors: bindings.map(({ tensor: id }) => {
        const tensor = tensors.get(id)!;
        return { name: tensor.name, bytes: packedBytes(tensor) };
      }),
    })),
    ...{ slots, steps, peakBytes },
    ...(scratchBytes === 0 ? {} : { scratchBytes }),
    requires: { features: device.core?.multiplyAdd === true ? ['relaxed-simd'] : [] },
  };
  checkMesh(manifest);
  return { manifest, module };
}
