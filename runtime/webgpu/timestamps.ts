/** The device's own time of each command. */
import { UserError } from '../errors.ts';
import type { OpenedDevice } from './device.ts';
import type { EncodedCommand } from './encode.ts';
import { bufferUsage, mapForReading } from './usage.ts';

export interface CommandTime {
  /** The kernel of a dispatch; undefined for a copy. */
  readonly kernel: string | undefined;
  /** By the device's clock, from when the first one began. */
  readonly startNanoseconds: number;
  readonly nanoseconds: number;
}

/** WebGPU's largest query set holds 4096 timestamps: two a command. */
const commandsPerSet = 2048;
const timestampBytes = 8;

/**
 * Runs the commands, each between two timestamps: of a dispatch those of a pass of its own, of a copy those
 * of empty passes before and after it.
 * @returns one for each command, in order
 * @throws UserError `exceeds-device` when the device has no timestamps.
 */
export async function timeCommands(
  opened: OpenedDevice,
  commands: readonly EncodedCommand[],
): Promise<CommandTime[]> {
  if (!opened.timestamps)
    throw new UserError(
      'exceeds-device',
      'the device has no clock that programs may read (timestamp-query)',
      'time whole runs instead',
    );
  const times: CommandTime[] = [];
  for (let begin = 0; begin < commands.length; begin += commandsPerSet)
    times.push(...(await timePart(opened, commands.slice(begin, begin + commandsPerSet))));
  const begin = times[0]?.startNanoseconds ?? 0;
  return times.map((time) => ({ ...time, startNanoseconds: time.startNanoseconds - begin }));
}

function timePart(
  { device, guard }: OpenedDevice,
  commands: readonly EncodedCommand[],
): Promise<CommandTime[]> {
  return guard('a timed run', async () => {
    const count = commands.length * 2;
    const size = count * timestampBytes;
    const querySet = device.createQuerySet({ type: 'timestamp', count });
    const { queryResolve, copySource, copyDestination, mapRead } = bufferUsage;
    const resolved = device.createBuffer({ size, usage: queryResolve | copySource });
    const readback = device.createBuffer({ size, usage: mapRead | copyDestination });
    const encoder = device.createCommandEncoder();
    for (const [place, command] of commands.entries()) {
      const [begin, end] = [2 * place, 2 * place + 1];
      if (command.kind === 'copy') {
        encoder.beginComputePass({ timestampWrites: { querySet, endOfPassWriteIndex: begin } }).end();
        encoder.copyBufferToBuffer(command.from, command.fromByte, command.to, command.toByte, command.bytes);
        encoder.beginComputePass({ timestampWrites: { querySet, beginningOfPassWriteIndex: end } }).end();
        continue;
      }
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: begin, endOfPassWriteIndex: end },
      });
      pass.setPipeline(command.pipeline);
      pass.setBindGroup(0, command.bindGroup, command.dynamicOffsets);
      pass.dispatchWorkgroups(...command.grid);
      pass.end();
    }
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, readback, 0, size);
    device.queue.submit([encoder.finish()]);
    await readback.mapAsync(mapForReading);
    const stamps = new BigUint64Array(readback.getMappedRange().slice(0));
    for (const buffer of [readback, resolved]) buffer.destroy();
    querySet.destroy();
    return commands.map((command, place) => ({
      kernel: command.kind === 'dispatch' ? command.kernel : undefined,
      startNanoseconds: Number(stamps[2 * place]!),
      nanoseconds: Number(stamps[2 * place + 1]! - stamps[2 * place]!),
    }));
  });
}
