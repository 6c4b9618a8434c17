/** The kernels of a package, compiled for a device. */
import type { Command } from '../../compiler/plan/expand.ts';
import type { Package, PackageKernel } from '../../compiler/plan/package.ts';
import { copyBytesCode, copyBytesKernel } from './copy-bytes.ts';
import type { OpenedDevice } from './device.ts';
import { computeStage } from './usage.ts';

/** Bytes of a uniform `vec4<u32>`. */
export const uniformBytes = 16;

export interface KernelPipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

type KernelInterface = Pick<PackageKernel, 'name' | 'bindings' | 'counters'>;

/**
 * All at once: drivers compile on several threads. `onPipeline` hears how many are ready, of how many.
 * @throws UserError `device-refused`, naming the kernel.
 */
export async function createPipelines(
  { manifest, code }: Package,
  commands: readonly Command[],
  opened: OpenedDevice,
  onPipeline: (done: number, total: number) => void,
): Promise<ReadonlyMap<string, KernelPipeline>> {
  const wanted: [KernelInterface, string][] = manifest.kernels.map((kernel) => [
    kernel,
    code.get(kernel.name)!,
  ]);
  if (commands.some((command) => command.kind === 'copyBytes')) wanted.push([copyBytesKernel, copyBytesCode]);
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
  if (kernel.counters === 0) return storage;
  const uniform: GPUBufferBindingLayout = {
    type: 'uniform',
    hasDynamicOffset: true,
    minBindingSize: uniformBytes,
  };
  return [...storage, { binding: storage.length, visibility: computeStage, buffer: uniform }];
}
