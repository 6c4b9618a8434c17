/** The last step of compiling to PTX: a module and the order of its kernels become a package. */
import type { Graph } from '../graph/graph.ts';
import type { PtxTarget } from '../tiles/ptx-target.ts';
import type { Schedule } from '../tiles/scheduled.ts';
import { checkMesh } from './check-mesh.ts';
import { commonKernel, commonManifest } from './common-manifest.ts';
import type { Extent3, LaunchedKernel } from './kernel.ts';
import type { PackageMap, PtxManifest, PtxPackage } from './package.ts';
import { packageGridEnds } from './package-bounds.ts';
import { type PlanOptions, planLaunches } from './plan-launches.ts';

export interface PtxLaunchedKernel extends LaunchedKernel {
  /** Threads of a block. */
  readonly block: Extent3;
  /** Of shared memory, which comes with the launch. */
  readonly sharedBytes: number;
  readonly maps: readonly PtxMap[];
}

/** How a kernel copies a buffer by boxes: see `PackageMap`. */
export type PtxMap = { readonly [K in keyof PackageMap]: Readonly<PackageMap[K]> };

function packageMap({ shape, strides, box, ...map }: PtxMap): PackageMap {
  return { ...map, shape: [...shape], strides: [...strides], box: [...box] };
}

/** Slots begin at multiples of that many bytes, as the CUDA driver aligns what it allocates. */
const slotAlignment = 256;

/**
 * @param module with an entry for each kernel
 * @throws UserError `exceeds-device` when it is for another mesh
 */
export function planPtxPackage(
  graph: Graph,
  scheduled: Schedule,
  compiled: readonly PtxLaunchedKernel[],
  { arch, module }: { readonly arch: PtxTarget; readonly module: string },
  options: PlanOptions = {},
): PtxPackage {
  const launches = planLaunches(graph, scheduled, compiled, options);
  const kernels = launches.kernels.map((kernel) => ({
    name: kernel.name,
    block: [...kernel.block] as [number, number, number],
    grid: [...kernel.grid] as [number, number, number],
    ...(kernel.gridEnds === undefined ? {} : { gridEnds: packageGridEnds(kernel.gridEnds) }),
    sharedBytes: kernel.sharedBytes,
    ...(kernel.maps.length === 0 ? {} : { maps: kernel.maps.map(packageMap) }),
    ...commonKernel(kernel, launches),
  }));
  const manifest: PtxManifest = {
    ...commonManifest('ptx', launches, kernels),
    arch,
    peakBytes: launches.slots.reduce(
      (sum, { bytes }) => sum + Math.ceil(bytes / slotAlignment) * slotAlignment,
      0,
    ),
  };
  checkMesh(manifest);
  return { manifest, module };
}
