/** From the commands of a package to those of WebGPU. */
import type { Command } from '../../compiler/plan/expand.ts';
import { uniformStride } from '../../compiler/plan/expand.ts';
import type { Manifest } from '../../compiler/plan/package.ts';
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
      readonly fromByte: number;
      readonly to: GPUBuffer;
      readonly toByte: number;
      readonly bytes: number;
    };

/** Where a device's part in a package is: what its commands work on. */
export interface CommandSite {
  /** At least as large as the slots are said to be. */
  readonly slots: readonly GPUBuffer[];
  readonly uniforms: GPUBuffer | undefined;
  /** Of kernels of which a run decides how many workgroups there are, by name: written to before each run. */
  readonly grids?: ReadonlyMap<string, Grid>;
}

/** Workgroups in each dimension. */
export type Grid = [number, number, number];

/** A command that a device carries out by itself. */
export type OwnCommand = Exclude<Command, { readonly kind: 'exchange' }>;

/** Command by command. Bind groups are shared between dispatches of one kernel on the same buffers. */
export function createEncoding(
  device: GPUDevice,
  pipelines: ReadonlyMap<string, KernelPipeline>,
  { slots, uniforms, grids: ofRuns }: CommandSite,
  { kernels, slots: sizes }: Pick<Manifest, 'kernels' | 'slots'>,
): (command: OwnCommand) => EncodedCommand {
  const grids = new Map(
    kernels.map(({ name, grid }): [string, Readonly<Grid>] => [name, ofRuns?.get(name) ?? grid]),
  );
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
      const bound = buffers.map((slot) => ({ buffer: slots[slot]!, size: sizes[slot]!.bytes }));
      bindGroup = bind(device, kernel, layout, bound, uniform === undefined ? undefined : uniforms);
      bindGroups.set(key, bindGroup);
    }
    const dynamicOffsets = uniform === undefined ? [] : [uniform * uniformStride];
    return { kind: 'dispatch', kernel, pipeline, bindGroup, dynamicOffsets, grid };
  };
  return (command) => {
    switch (command.kind) {
      case 'dispatch':
        return dispatch(command.kernel, command.buffers, command.uniform, grids.get(command.kernel)!);
      case 'copyBytes': {
        const { from, to, uniform, bytes } = command;
        return dispatch(copyBytesKernel.name, [from, to], uniform, copyBytesGrid(bytes));
      }
      case 'copy': {
        const { toByte, bytes } = command;
        const [from, to] = [slots[command.from]!, slots[command.to]!];
        return { kind: 'copy', from, fromByte: 0, to, toByte, bytes };
      }
    }
  };
}

/** Storage buffers in binding order, and after them the uniforms where the kernel takes any. */
export function bind(
  device: GPUDevice,
  label: string,
  layout: GPUBindGroupLayout,
  buffers: readonly GPUBufferBinding[],
  uniforms: GPUBuffer | undefined,
): GPUBindGroup {
  const bound = [...buffers];
  if (uniforms !== undefined) bound.push({ buffer: uniforms, size: uniformBytes });
  const entries = bound.map((resource, binding) => ({ binding, resource }));
  return device.createBindGroup({ label, layout, entries });
}

/** More than this many commands are submitted in pieces: drivers end work that lasts for seconds. */
const commandsPerSubmit = 1024;

/** Submits all, and with the last of them what `last` records. */
export function submitCommands(
  device: GPUDevice,
  commands: readonly EncodedCommand[],
  last: ((encoder: GPUCommandEncoder) => void) | undefined,
): void {
  for (let begin = 0; begin === 0 || begin < commands.length; begin += commandsPerSubmit) {
    const encoder = device.createCommandEncoder();
    const end = begin + commandsPerSubmit;
    recordCommands(encoder, commands.slice(begin, end));
    if (end >= commands.length) last?.(encoder);
    device.queue.submit([encoder.finish()]);
  }
}

/** Neighbouring dispatches go into one pass. */
function recordCommands(encoder: GPUCommandEncoder, commands: readonly EncodedCommand[]): void {
  let pass: GPUComputePassEncoder | undefined;
  let current: GPUComputePipeline | undefined;
  for (const command of commands) {
    if (command.kind === 'copy') {
      pass?.end();
      pass = undefined;
      current = undefined;
      encoder.copyBufferToBuffer(command.from, command.fromByte, command.to, command.toByte, command.bytes);
      continue;
    }
    // A run of a bounded package may have nothing for a kernel to do.
    if (command.grid.includes(0)) continue;
    pass ??= encoder.beginComputePass();
    if (command.pipeline !== current) pass.setPipeline(command.pipeline);
    current = command.pipeline;
    pass.setBindGroup(0, command.bindGroup, command.dynamicOffsets);
    pass.dispatchWorkgroups(...command.grid);
  }
  pass?.end();
}
