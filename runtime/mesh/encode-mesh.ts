/** The commands of a package on all devices of a mesh, in step, as commands of the one device they share. */
import { groupsAlong } from '../../compiler/partition/devices.ts';
import type { Expansion } from '../../compiler/plan/expand.ts';
import { uniformStride } from '../../compiler/plan/expand.ts';
import {
  type CombinePart,
  type CopyPart,
  type ExchangePart,
  exchangeParts,
  isWholeWords,
  uniformOf,
} from '../../compiler/plan/expand-exchange.ts';
import type { ExchangeStep, Manifest } from '../../compiler/plan/package.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { Doer } from '../trace/mesh-trace.ts';
import { copyBytesGrid, copyBytesKernel } from '../webgpu/copy-bytes.ts';
import { bind, type CommandSite, createEncoding, type EncodedCommand } from '../webgpu/encode.ts';
import type { KernelPipeline } from '../webgpu/pipelines.ts';
import { combineGrid, combineKernel } from './combine-kernel.ts';

/** The exchanges of a package, each once however often it runs. */
export interface Exchanges {
  readonly parts: ReadonlyMap<ExchangeStep, readonly ExchangePart[]>;
  /** What the kernels of all parts are told; no two are equal. */
  readonly uniforms: readonly (readonly number[])[];
}

export function exchangesOf({ commands }: Expansion): Exchanges {
  const steps = commands.flatMap((command) => (command.kind === 'exchange' ? [command.step] : []));
  const parts = new Map([...new Set(steps)].map((step) => [step, exchangeParts(step)]));
  const uniforms = new Map<string, readonly number[]>();
  for (const words of [...parts.values()].flat().map(uniformOf))
    if (words !== undefined) uniforms.set(words.join(), words);
  return { parts, uniforms: [...uniforms.values()] };
}

export interface MeshSite {
  readonly mesh: Mesh;
  readonly device: GPUDevice;
  readonly pipelines: ReadonlyMap<string, KernelPipeline>;
  /** Of each device of the mesh. */
  readonly memories: readonly CommandSite[];
  /** Of the exchanges, in order of `Exchanges.uniforms`. */
  readonly uniforms: GPUBuffer | undefined;
  /** Totals of one exchange of one group at a time. */
  readonly scratch: GPUBuffer | undefined;
}

export interface MeshCommand {
  readonly command: EncodedCommand;
  /** The same for all parts of an exchange in a group, which follow each other. */
  readonly doer: Doer;
}

/**
 * Each command on all devices before the next: neighbours then work on different buffers, and none waits for
 * another.
 */
export function encodeMesh(
  { commands }: Expansion,
  exchanges: Exchanges,
  manifest: Manifest,
  site: MeshSite,
): MeshCommand[] {
  const { mesh, device, pipelines, memories } = site;
  const encodings = memories.map((memory) => createEncoding(device, pipelines, memory, manifest));
  const encodePart = partEncoding(exchanges, site);
  const encoded: MeshCommand[] = [];
  let number = 0;
  for (const command of commands) {
    if (command.kind !== 'exchange') {
      for (const [own, encode] of encodings.entries())
        encoded.push({ command: encode(command), doer: { kind: 'device', device: own } });
      continue;
    }
    const { step, from, to } = command;
    for (const group of groupsAlong(step.axes, mesh)) {
      const doer: Doer = { kind: 'group', step, group, number };
      for (const part of exchanges.parts.get(step)!)
        encoded.push({ command: encodePart(part, { group, from, to }), doer });
    }
    number++;
  }
  return encoded;
}

/** Where an exchange of one group works. */
interface GroupPlace {
  /** Devices by rank. */
  readonly group: readonly number[];
  readonly from: number;
  readonly to: number;
}

function partEncoding(
  { uniforms }: Exchanges,
  site: MeshSite,
): (part: ExchangePart, place: GroupPlace) => EncodedCommand {
  const bindGroups = new Map<string, GPUBindGroup>();
  const entries = new Map(uniforms.map((words, index) => [words.join(), index]));
  const bufferOf = ([device, slot]: DeviceSlot) => site.memories[device]!.slots[slot]!;
  const dispatch = (
    kernel: string,
    part: ExchangePart,
    bound: readonly (DeviceSlot | 'scratch')[],
    grid: readonly [number, number, number],
  ): EncodedCommand => {
    const { pipeline, layout } = site.pipelines.get(kernel)!;
    const key = `${kernel} ${bound.join(' ')}`;
    const buffers = bound.map((each) => ({ buffer: each === 'scratch' ? site.scratch! : bufferOf(each) }));
    const bindGroup = bindGroups.get(key) ?? bind(site.device, kernel, layout, buffers, site.uniforms);
    bindGroups.set(key, bindGroup);
    const dynamicOffsets = [entries.get(uniformOf(part)!.join())! * uniformStride];
    return { kind: 'dispatch', kernel, pipeline, bindGroup, dynamicOffsets, grid };
  };
  const copy = (part: CopyPart, { group, from, to }: GroupPlace): EncodedCommand => {
    const source: DeviceSlot = [group[part.from.rank]!, from];
    const result: DeviceSlot = [group[part.to.rank]!, to];
    if (!isWholeWords(part))
      return dispatch(copyBytesKernel.name, part, [source, result], copyBytesGrid(part.bytes));
    return {
      kind: 'copy',
      from: bufferOf(source),
      fromByte: part.from.byte,
      to: bufferOf(result),
      toByte: part.to.byte,
      bytes: part.bytes,
    };
  };
  const combine = (part: CombinePart, { group, from, to }: GroupPlace): EncodedCommand => {
    const [{ name }] = combineKernel(part);
    const bound: (DeviceSlot | 'scratch')[] = [
      ...part.reads.map((rank): DeviceSlot => [group[rank]!, from]),
      ...(part.inPlace ? [] : part.writes.map((rank): DeviceSlot => [group[rank]!, to])),
      ...(part.continues || part.writes.length === 0 ? (['scratch'] as const) : []),
    ];
    return dispatch(name, part, bound, combineGrid(part));
  };
  return (part, place) => (part.kind === 'copy' ? copy(part, place) : combine(part, place));
}

type DeviceSlot = readonly [device: number, slot: number];
