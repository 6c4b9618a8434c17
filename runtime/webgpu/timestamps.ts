/** The device's own time of each dispatch. */
import { UserError } from '../errors.ts';
import type { OpenedDevice } from './device.ts';
import type { EncodedCommand } from './encode.ts';
import { bufferUsage, mapForReading } from './usage.ts';

export interface DispatchTime {
  readonly kernel: string;
  /** By the device's clock, from its first timestamp. */
  readonly startNanoseconds: number;
  readonly nanoseconds: number;
}

/** WebGPU's largest query set holds 4096 timestamps: two a dispatch. */
const dispatchesPerSet = 2048;
const timestampBytes = 8;

/**
 * Runs the commands with each dispatch in a pass of its own.
 * @throws UserError `exceeds-device` when the device has no timestamps.
 */
export async function timeDispatches(
  opened: OpenedDevice,
  commands: readonly EncodedCommand[],
): Promise<DispatchTime[]> {
  if (!opened.timestamps)
    throw new UserError(
      'exceeds-device',
      'the device has no clock that programs may read (timestamp-query)',
      'time whole runs instead',
    );
  const times: DispatchTime[] = [];
  for (const part of partsOf(commands)) times.push(...(await timePart(opened, part)));
  const begin = times[0]?.startNanoseconds ?? 0;
  return times.map((time) => ({ ...time, startNanoseconds: time.startNanoseconds - begin }));
}

/** Pieces of at most `dispatchesPerSet` dispatches. */
function partsOf(commands: readonly EncodedCommand[]): EncodedCommand[][] {
  const parts: EncodedCommand[][] = [];
  let dispatches = dispatchesPerSet;
  for (const command of commands) {
    if (dispatches === dispatchesPerSet) {
      parts.push([]);
      dispatches = 0;
    }
    parts.at(-1)!.push(command);
    if (command.kind === 'dispatch') dispatches++;
  }
  return parts;
}

function timePart(
  { device, guard }: OpenedDevice,
  commands: readonly EncodedCommand[],
): Promise<DispatchTime[]> {
  const dispatches = commands.filter((command) => command.kind === 'dispatch');
  return guard('a timed run', async () => {
    const count = Math.max(1, dispatches.length) * 2;
    const size = count * timestampBytes;
    const querySet = device.createQuerySet({ type: 'timestamp', count });
    const { queryResolve, copySource, copyDestination, mapRead } = bufferUsage;
    const resolved = device.createBuffer({ size, usage: queryResolve | copySource });
    const readback = device.createBuffer({ size, usage: mapRead | copyDestination });
    const encoder = device.createCommandEncoder();
    let query = 0;
    for (const command of commands) {
      if (command.kind === 'copy') {
        encoder.copyBufferToBuffer(command.from, command.fromByte, command.to, command.toByte, command.bytes);
        continue;
      }
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: query++, endOfPassWriteIndex: query++ },
      });
      pass.setPipeline(command.pipeline);
      pass.setBindGroup(0, command.bindGroup, command.dynamicOffsets);
      pass.dispatchWorkgroups(...command.grid);
      pass.end();
    }
    if (query > 0) encoder.resolveQuerySet(querySet, 0, query, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, readback, 0, size);
    device.queue.submit([encoder.finish()]);
    await readback.mapAsync(mapForReading);
    const stamps = new BigUint64Array(readback.getMappedRange().slice(0));
    for (const buffer of [readback, resolved]) buffer.destroy();
    querySet.destroy();
    return dispatches.map(({ kernel }, index) => ({
      kernel,
      startNanoseconds: Number(stamps[2 * index]!),
      nanoseconds: Number(stamps[2 * index + 1]! - stamps[2 * index]!),
    }));
  });
}
