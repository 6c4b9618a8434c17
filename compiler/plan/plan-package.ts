/** The last step of compiling: kernels and their order become an executable package. */

import { UserError } from '../../dsl/diagnostics/user-error.ts';
import type { Graph } from '../graph/graph.ts';
import type { DeviceProfile } from '../tiles/device-profile.ts';
import type { Schedule } from '../tiles/scheduled.ts';
import { checkMesh, exchangesOf } from './check-mesh.ts';
import { commonKernel, commonManifest } from './common-manifest.ts';
import { expandSteps, uniformStride } from './expand.ts';
import { exchangeUniformBytes, scratchBytes } from './expand-exchange.ts';
import type { Kernel } from './kernel.ts';
import { maxKernelUniforms } from './kernel.ts';
import { checkLimits } from './limits.ts';
import type { LaunchStep, Manifest, Package, PackageKernel, Requirements } from './package.ts';
import { packageGridEnds } from './package-bounds.ts';
import { type PlannedLaunches, type PlanOptions, planLaunches } from './plan-launches.ts';
import { bufferBytes } from './storage-bytes.ts';

/**
 * @throws UserError `exceeds-device` when the device cannot run it, before anything is allocated.
 */
export function planPackage(
  graph: Graph,
  scheduled: Schedule,
  compiled: readonly Kernel[],
  device: DeviceProfile,
  options: PlanOptions = {},
): Package {
  const launches = planLaunches(graph, scheduled, compiled, options);
  const { kernels: launched, slots, steps, outputs } = launches;
  const kernels = launched.map((kernel) => packageKernel(kernel, launches));
  const manifest: Manifest = {
    ...commonManifest('wgsl', launches, kernels),
    peakBytes:
      slots.reduce((sum, slot) => sum + slot.bytes, 0) +
      expandSteps({ steps, slots, kernels }).uniforms.length * uniformStride +
      outputs.reduce((sum, output) => sum + bufferBytes(output), 0) +
      exchangeMemory(steps),
    requires: requirements(launched, slots, steps, device),
  };
  const planned: Package = {
    manifest,
    code: new Map(launched.map((kernel) => [kernel.name, kernel.code])),
  };
  checkUniforms(launched, graph.name);
  checkMesh(manifest);
  checkLimits(planned, device);
  return planned;
}

function packageKernel(kernel: Kernel, launches: PlannedLaunches<Kernel>): PackageKernel {
  const { name, workgroupSize, grid, gridEnds } = kernel;
  return {
    name,
    file: `kernels/${name}.wgsl`,
    workgroupSize: [...workgroupSize],
    grid: [...grid],
    ...(gridEnds === undefined ? {} : { gridEnds: packageGridEnds(gridEnds) }),
    ...commonKernel(kernel, launches),
  };
}

/** One exchange at a time has totals to hold; where the kernels of each find their work stays. */
function exchangeMemory(steps: readonly LaunchStep[]): number {
  const exchanges = exchangesOf(steps);
  return (
    Math.max(0, ...exchanges.map(scratchBytes)) +
    exchanges.reduce((sum, step) => sum + exchangeUniformBytes(step), 0)
  );
}

function requirements(
  kernels: readonly Kernel[],
  slots: Manifest['slots'],
  steps: readonly LaunchStep[],
  device: DeviceProfile,
): Requirements {
  const most = (values: readonly number[]) => values.reduce((left, right) => Math.max(left, right), 0);
  const scratch = exchangesOf(steps).map(scratchBytes);
  const largest = most([...slots.map((slot) => slot.bytes), ...scratch]);
  const axis = (index: 0 | 1 | 2) => most(kernels.map((kernel) => kernel.workgroupSize[index]));
  const features = new Set(kernels.flatMap((kernel) => kernel.features ?? []));
  if (features.has('subgroups') && device.subgroupSize === undefined)
    throw new Error('planning: a kernel uses subgroups that the device lacks');
  return {
    storageBuffersPerStage: most(kernels.map((kernel) => kernel.bindings.length)),
    bindingBytes: largest,
    bufferBytes: largest,
    workgroupBytes: most(kernels.map((kernel) => kernel.workgroupBytes ?? 0)),
    invocationsPerWorkgroup: most(
      kernels.map(({ workgroupSize: [width, height, depth] }) => width * height * depth),
    ),
    workgroupSize: [axis(0), axis(1), axis(2)],
    workgroupsPerDimension: most(kernels.flatMap((kernel) => [...kernel.grid])),
    features: [...features].sort(),
  };
}

function checkUniforms(kernels: readonly Kernel[], entry: string): void {
  for (const { name, counters, coordinates = [] } of kernels) {
    if (counters.length > maxKernelUniforms)
      throw new UserError(
        'exceeds-device',
        `${entry} nests ${counters.length} loops around ${name}, and ${maxKernelUniforms} are supported`,
        'merge two of the folds into one over the product of their sizes',
      );
    const [loops, axes] = [counters.length, coordinates.length];
    if (loops + axes > maxKernelUniforms)
      throw new UserError(
        'exceeds-device',
        `${entry} has ${name} depend on ${axes} mesh axes and the steps of ${loops} loops, and ` +
          `${maxKernelUniforms} are supported together`,
        'cut over fewer mesh axes there',
      );
  }
}
