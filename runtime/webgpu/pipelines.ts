/** The kernels of a package, compiled for a device. */
import type { Command } from '../../compiler/plan/expand.ts';
import type { Package, PackageKernel } from '../../compiler/plan/package.ts';
import { copyBytesSource } from './copy-bytes.ts';
import type { OpenedDevice } from './device.ts';
import { computeStage } from './usage.ts';

/** Bytes of a uniform `vec4<u32>`. */
export const uniformBytes = 16;

export interface KernelPipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export type KernelInterface = Pick<PackageKernel, 'name' | 'bindings' | 'counters' | 'coordinates'>;

/** What a kernel takes, and its text. */
export type KernelSource = readonly [KernelInterface, string];

/** Of a package, with what its commands need beside. */
export function kernelsOf(
  { manifest, code }: Package,
  commands: readonly Command[],
): readonly KernelSource[] {
  const own = manifest.kernels.map((kernel): KernelSource => [kernel, code.get(kernel.name)!]);
  return commands.some((command) => command.kind === 'copyBytes') ? [...own, copyBytesSource] : own;
}

/**
 * All at once: drivers compile on several threads. `onPipeline` hears how many are ready, of how many.
 * @throws UserError `device-refused`, naming the kernel.
 */
export async function createPipelines(
  wanted: readonly KernelSource[],
  opened: OpenedDevice,
  onPipeline: (done: number, total: number) => void,
): Promise<ReadonlyMap<string, KernelPipeline>> {
  let done = 0;
  onPipeline(done, wanted.length);
  return new Map(
    await Promise.all(
      wanted.map(async ([kernel, text]) => {
        const pipeline = await createPipeline(kernel, text, opened);
        onPipeline(++done, wanted.length);
        return [kernel.name, pipeline] as const;
      }),
    ),
  );
}

function createPipeline(
  kernel: KernelInterface,
  code: string,
  { device, guard }: OpenedDevice,
): Promise<KernelPipeline> {
  return guard(`the kernel ${kernel.name}`, async () => {
    const module = device.createShaderModule({ label: kernel.name, code });
    const layout = device.createBindGroupLayout({ label: kernel.name, entries: layoutEntries(kernel) });
    const pipeline = await device.createComputePipelineAsync({
      label: kernel.name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    });
    return { pipeline, layout };
  });
}

function layoutEntries(kernel: KernelInterface): GPUBindGroupLayoutEntry[] {
  const storage = kernel.bindings.map(
    (access, binding): GPUBindGroupLayoutEntry => ({
      binding,
      visibility: computeStage,
      buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
    }),
  );
  if (kernel.counters + (kernel.coordinates?.length ?? 0) === 0) return storage;
  const uniform: GPUBufferBindingLayout = {
    type: 'uniform',
    hasDynamicOffset: true,
    minBindingSize: uniformBytes,
  };
  return [...storage, { binding: storage.length, visibility: computeStage, buffer: uniform }];
}
