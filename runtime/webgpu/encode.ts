/** From the commands of a package to those of WebGPU. */
import type { Command } from '../../compiler/plan/expand.ts';
import { uniformStride } from '../../compiler/plan/expand.ts';
import type { PackageKernel } from '../../compiler/plan/package.ts';
import { copyBytesGrid, copyBytesKernel } from './copy-bytes.ts';
import { type KernelPipeline, uniformBytes } from './pipelines.ts';

/** A dispatch with all that it takes, or a copy. */
export type EncodedCommand =
  | {
      readonly kind: 'dispatch';
      readonly kernel: string;
      readonly pipeline: GPUComputePipeline;
      readonly bindGroup: GPUBindGroup;
      readonly dynamicOffsets: readonly number[];
      readonly grid: readonly [number, number, number];
    }
  | {
      readonly kind: 'copy';
      readonly from: GPUBuffer;
      readonly to: GPUBuffer;
      readonly toByte: number;
      readonly bytes: number;
    };

/** Bind groups are shared between dispatches of one kernel on the same buffers. */
export function encodeCommands(
  device: GPUDevice,
  commands: readonly Command[],
  pipelines: ReadonlyMap<string, KernelPipeline>,
  slots: readonly GPUBuffer[],
  uniformBuffer: GPUBuffer | undefined,
  kernels: readonly PackageKernel[],
): EncodedCommand[] {
  const grids = new Map(kernels.map((kernel) => [kernel.name, kernel.grid]));
  const bindGroups = new Map<string, GPUBindGroup>();
  const dispatch = (
    kernel: string,
    buffers: readonly number[],
    uniform: number | undefined,
    grid: readonly [number, number, number],
  ): EncodedCommand => {
    const { pipeline, layout } = pipelines.get(kernel)!;
    const key = `${kernel} ${buffers.join()}`;
    let bindGroup = bindGroups.get(key);
    if (bindGroup === undefined) {
      const bound: GPUBufferBinding[] = buffers.map((slot) => ({ buffer: slots[slot]! }));
      if (uniform !== undefined) bound.push({ buffer: uniformBuffer!, size: uniformBytes });
      const entries = bound.map((resource, binding) => ({ binding, resource }));
      bindGroup = device.createBindGroup({ label: kernel, layout, entries });
      bindGroups.set(key, bindGroup);
    }
    const dynamicOffsets = uniform === undefined ? [] : [uniform * uniformStride];
    return { kind: 'dispatch', kernel, pipeline, bindGroup, dynamicOffsets, grid };
  };
  const encode = (command: Command): EncodedCommand => {
    switch (command.kind) {
      case 'dispatch':
        return dispatch(command.kernel, command.buffers, command.uniform, grids.get(command.kernel)!);
      case 'copyBytes': {
        const { from, to, uniform, bytes } = command;
        return dispatch(copyBytesKernel.name, [from, to], uniform, copyBytesGrid(bytes));
      }
      case 'copy': {
        const { toByte, bytes } = command;
        return { kind: 'copy', from: slots[command.from]!, to: slots[command.to]!, toByte, bytes };
      }
    }
  };
  return commands.map(encode);
}

/** Neighbouring dispatches go into one pass. */
export function recordCommands(encoder: GPUCommandEncoder, commands: readonly EncodedCommand[]): void {
  let pass: GPUComputePassEncoder | undefined;
  let current: GPUComputePipeline | undefined;
  for (const command of commands) {
    if (command.kind === 'copy') {
      pass?.end();
      pass = undefined;
      current = undefined;
      encoder.copyBufferToBuffer(command.from, 0, command.to, command.toByte, command.bytes);
      continue;
    }
    pass ??= encoder.beginComputePass();
    if (command.pipeline !== current) pass.setPipeline(command.pipeline);
    current = command.pipeline;
    pass.setBindGroup(0, command.bindGroup, command.dynamicOffsets);
    pass.dispatchWorkgroups(...command.grid);
  }
  pass?.end();
}
