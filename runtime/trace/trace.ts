/** What the devices of a run did, and when: data, before it is a file for a trace viewer. */
import { sentBytes } from '../../compiler/plan/expand-exchange.ts';
import type { AnyManifest, AnyPackageKernel, ExchangeStep } from '../../compiler/plan/package.ts';
import { bytesText, packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { showList } from '../../dsl/placement/placement.ts';
import type { CommandTime } from '../webgpu/timestamps.ts';

export interface Trace {
  readonly entry: string;
  /** What the times are by, in a sentence. */
  readonly clock: string;
  /** In the order of their numbers. */
  readonly devices: readonly TracedDevice[];
}

export interface TracedDevice {
  /** `device 3 (dp=1, tp=1)`. */
  readonly name: string;
  /** Those of one track do not overlap, and are in order. */
  readonly slices: readonly Slice[];
}

export interface Slice {
  /** A device may exchange several things at once, each in a lane of its own. */
  readonly track: 'compute' | { readonly lane: number };
  readonly name: string;
  readonly startNanoseconds: number;
  readonly nanoseconds: number;
  readonly arguments: Readonly<Record<string, string | number>>;
  /** The device's part in an exchange. */
  readonly exchange?: SliceExchange;
}

export interface SliceExchange {
  /** Which of the run's exchanges: the same number on all devices. */
  readonly number: number;
  readonly verb: ExchangeStep['verb'];
  /** Devices by rank. */
  readonly group: readonly number[];
}

type When = Pick<Slice, 'startNanoseconds' | 'nanoseconds'>;

/** A kernel, or a copy within the memory of a device. */
export function commandSlice(manifest: AnyManifest, time: CommandTime): Slice {
  const { kernel: name, startNanoseconds, nanoseconds } = time;
  const kernels: readonly AnyPackageKernel[] = manifest.kernels;
  const kernel = kernels.find((each) => each.name === name);
  const tensors = (kernel?.tensors ?? []).map((tensor, binding) => ({
    ...tensor,
    access: kernel!.bindings[binding]!,
  }));
  const listed = (access: 'read' | 'write') => {
    const bound = tensors.filter((tensor) => tensor.access === access || tensor.access === 'readwrite');
    const bytes = bound.reduce((sum, tensor) => sum + tensor.bytes, 0);
    return bound.length === 0 ? undefined : { names: bound.map((tensor) => tensor.name).join(', '), bytes };
  };
  const [read, written] = [listed('read'), listed('write')];
  return {
    track: 'compute',
    name: written === undefined ? (name ?? 'copy') : `${name}: ${written.names}`,
    startNanoseconds,
    nanoseconds,
    arguments: {
      ...(read === undefined ? {} : { reads: read.names, 'bytes of what it reads': read.bytes }),
      ...(written === undefined ? {} : { writes: written.names, 'bytes of what it writes': written.bytes }),
      ...(kernel === undefined ? {} : { workgroups: workgroupsOf(kernel) }),
    },
  };
}

function workgroupsOf(kernel: AnyPackageKernel): string {
  return 'grid' in kernel ? kernel.grid.join(' × ') : `${kernel.groups}`;
}

/** An exchange on one of the devices of its group. */
export function exchangeSlice(
  step: ExchangeStep,
  group: readonly number[],
  device: number,
  { number, lane, when }: { readonly number: number; readonly lane: number; readonly when: When },
): Slice {
  const { verb, axes, dtype, elements, tensor } = step;
  return {
    track: { lane },
    name: `${verb} ${showList(axes)}${tensor === undefined ? '' : `: ${tensor}`}`,
    ...when,
    arguments: {
      ...(tensor === undefined ? {} : { tensor }),
      devices: group.join(' '),
      'bytes sent': sentBytes(step, group.indexOf(device)),
      chunk: `${elements} ${dtype}, ${bytesText(packedBytes({ dtype, shape: [elements] }))}`,
    },
    exchange: { number, verb, group },
  };
}

/**
 * Those of each track without overlaps: a device may begin a pass before the one before it ends, where the
 * two do not depend on each other.
 */
export function inTurn(slices: readonly Slice[]): readonly Slice[] {
  const free = new Map<number, number>();
  return slices.map((slice) => {
    const track = slice.track === 'compute' ? -1 : slice.track.lane;
    const start = Math.max(free.get(track) ?? 0, slice.startNanoseconds);
    const end = Math.max(start, slice.startNanoseconds + slice.nanoseconds);
    free.set(track, end);
    return { ...slice, startNanoseconds: start, nanoseconds: end - start };
  });
}
