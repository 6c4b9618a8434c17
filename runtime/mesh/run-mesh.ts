/**
 * Runs the program of each device of a mesh as that many logical devices on one WebGPU device: each has
 * buffers and uniforms of its own, all share the kernels, and exchanges are copies and kernels between their
 * buffers.
 */
import { allCoordinates, blockNumber } from '../../compiler/partition/blocks.ts';
import { type Expansion, expandSteps } from '../../compiler/plan/expand.ts';
import { isWholeWords, scratchBytes } from '../../compiler/plan/expand-exchange.ts';
import { checkLimits } from '../../compiler/plan/limits.ts';
import type { Package } from '../../compiler/plan/package.ts';
import { deviceCount, type Mesh } from '../../dsl/placement/placement.ts';
import { UserError } from '../errors.ts';
import { type Done, meshTrace } from '../trace/mesh-trace.ts';
import type { Trace } from '../trace/trace.ts';
import { copyBytesSource } from '../webgpu/copy-bytes.ts';
import type { OpenedDevice } from '../webgpu/device.ts';
import type { Tensors } from '../webgpu/execute.ts';
import {
  allocateMemory,
  createAllocator,
  type PackageMemory,
  writeUniforms,
} from '../webgpu/package-memory.ts';
import { createPipelines, type KernelSource, kernelsOf } from '../webgpu/pipelines.ts';
import { createRunner, type Runner } from '../webgpu/runner.ts';
import type { CommandTime } from '../webgpu/timestamps.ts';
import { bufferUsage } from '../webgpu/usage.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import { checkBlocks } from './check-blocks.ts';
import { combineKernel } from './combine-kernel.ts';
import { type Exchanges, encodeMesh, exchangesOf, type MeshCommand } from './encode-mesh.ts';
import { type Traffic, trafficOf } from './traffic.ts';

/**
 * The package on each device of a mesh, in the order of their numbers. Inputs and outputs are what the
 * devices hold: the blocks of tensors that are cut. `distribute.ts` makes them and puts them together.
 */
export interface LoadedMesh
  extends Omit<Runner<readonly Tensors[], Map<string, TensorData>[], undefined>, 'start'> {
  readonly mesh: Mesh;
  /** Bytes of memory that all devices together hold. */
  readonly peakBytes: number;
  /** Of one run. */
  readonly traffic: Traffic;
  /** Kernels and copies of all devices in one run. */
  readonly launches: number;
  /** As `time`, of each device what it did. */
  readonly trace: () => Promise<Trace>;
  readonly destroy: () => void;
}

/** More take minutes to record and gigabytes to hold. */
const maxLaunches = 2 ** 20;

/**
 * A package without a mesh runs on one device.
 * @param onPipeline hears how many kernels the driver has compiled, of how many.
 * @throws UserError as `loadPackage`, `exceeds-device` too where the mesh is so large that there would be
 * more than a million launches.
 */
export async function loadMesh(
  pkg: Package,
  opened: OpenedDevice,
  onPipeline: (done: number, total: number) => void = () => undefined,
): Promise<LoadedMesh> {
  const { manifest } = pkg;
  const { device, guard } = opened;
  const mesh: Mesh = manifest.mesh ?? { axes: [] };
  checkLimits(pkg, opened.profile, device.features);
  const expansion = expandSteps(manifest);
  const exchanges = exchangesOf(expansion);
  const launches = launchesOf(expansion, exchanges, mesh);
  if (launches > maxLaunches)
    throw new UserError(
      'exceeds-device',
      `${manifest.entry} would launch ${launches} kernels and copies on ${deviceCount(mesh)} devices, ` +
        `and ${maxLaunches} are supported on one adapter`,
      'use a smaller mesh, or loops of fewer steps',
    );
  const kernels = byName([...kernelsOf(pkg, expansion.commands), ...exchangeKernels(exchanges)]);
  const pipelines = await createPipelines(kernels, opened, onPipeline);
  const memories: PackageMemory[] = [];
  const shared = createAllocator(device);
  const destroy = () => {
    for (const memory of memories) memory.destroy();
    shared.destroy();
  };
  try {
    for (const coordinates of allCoordinates(mesh))
      memories.push(
        await allocateMemory(manifest, expansion, opened, (axis) => blockNumber([axis], coordinates, mesh)),
      );
    const encoded = await guard('the exchanges between its devices', () => {
      const scratch = [...exchanges.parts.keys()].reduce(
        (most, step) => Math.max(most, scratchBytes(step)),
        0,
      );
      const uniforms = shared.allocateUniforms(exchanges.uniforms.length);
      if (uniforms !== undefined) writeUniforms(device, uniforms, exchanges.uniforms);
      return encodeMesh(expansion, exchanges, manifest, {
        mesh,
        device,
        pipelines,
        memories,
        uniforms,
        scratch: scratch === 0 ? undefined : shared.allocate('scratch', scratch, bufferUsage.storage),
      });
    });
    const commands = encoded.map(({ command }) => command);
    const runner = createRunner(opened, `a run of ${manifest.entry}`, async () => commands, {
      write: (given: readonly Tensors[] | undefined) => {
        if (given !== undefined) checkBlocks(manifest.entry, given, memories);
        for (const [number, memory] of memories.entries()) memory.write(given?.[number]);
      },
      copyOutputs: (encoder) => {
        for (const memory of memories) memory.copyOutputs(encoder);
      },
      takeOutputs: () => Promise.all(memories.map((memory) => memory.takeOutputs())),
      outputs: () => undefined,
    });
    return {
      ...runner,
      trace: async () => meshTrace(manifest, mesh, doneIn(encoded, await runner.time()), 'device'),
      mesh,
      traffic: trafficOf(manifest.steps, mesh),
      launches,
      peakBytes: memories.reduce((sum, memory) => sum + memory.bytes, shared.bytes()),
      destroy,
    };
  } catch (error) {
    destroy();
    throw error;
  }
}

function exchangeKernels({ parts }: Exchanges): readonly KernelSource[] {
  return [...parts.values()].flat().flatMap((part) => {
    if (part.kind === 'combine') return [combineKernel(part)];
    return isWholeWords(part) ? [] : [copyBytesSource];
  });
}

function doneIn(commands: readonly MeshCommand[], times: readonly CommandTime[]): readonly Done[] {
  return commands.map(({ doer }, place) => ({ doer, time: times[place]! }));
}

/** Kernels of one name are the same. */
function byName(kernels: readonly KernelSource[]): readonly KernelSource[] {
  return [...new Map(kernels.map((kernel) => [kernel[0].name, kernel])).values()];
}

/** Counted from the commands that a run submits. */
function launchesOf({ commands }: Expansion, { parts }: Exchanges, mesh: Mesh): number {
  const devices = deviceCount(mesh);
  const steps = commands.flatMap((command) => (command.kind === 'exchange' ? [command.step] : []));
  const inExchanges = steps.reduce(
    (sum, step) => sum + parts.get(step)!.length * (devices / step.devices),
    0,
  );
  return (commands.length - steps.length) * devices + inExchanges;
}
