/** The last step of compiling to WebAssembly: a module and the order of its kernels become a package. */
import type { Graph } from '../graph/graph.ts';
import type { DeviceProfile } from '../tiles/device-profile.ts';
import type { GridEnd } from '../tiles/ends.ts';
import type { Schedule } from '../tiles/scheduled.ts';
import { checkMesh } from './check-mesh.ts';
import { commonKernel, commonManifest } from './common-manifest.ts';
import type { LaunchedKernel } from './kernel.ts';
import type { WasmManifest, WasmPackage } from './package.ts';
import { packageGridEnds } from './package-bounds.ts';
import { type PlanOptions, planLaunches } from './plan-launches.ts';
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
  const launches = planLaunches(graph, scheduled, compiled, options);
  const scratchBytes = Math.max(0, ...launches.kernels.map((kernel) => kernel.scratchBytes ?? 0));
  const peakBytes = wasmMemory(launches.slots, scratchBytes, 1).bytes;
  checkWasmMemory(launches.entry, peakBytes);
  const kernels = launches.kernels.map((kernel) => {
    const { name, grid, axes } = kernel;
    return {
      name,
      groups: grid.reduce((total, extent) => total * extent, 1),
      ...(axes === undefined ? {} : { axes: { groups: [...axes.groups], ends: packageGridEnds(axes.ends) } }),
      ...commonKernel(kernel, launches),
    };
  });
  const manifest: WasmManifest = {
    ...commonManifest('wasm', launches, kernels),
    peakBytes,
    ...(scratchBytes === 0 ? {} : { scratchBytes }),
    requires: { features: device.core?.multiplyAdd === true ? ['relaxed-simd'] : [] },
  };
  checkMesh(manifest);
  return { manifest, module };
}
