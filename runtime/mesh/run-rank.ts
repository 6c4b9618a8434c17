/**
 * Runs the program of one device of a mesh as one rank of a job: the rank has a WebGPU device to itself, and
 * what it exchanges with others goes through the memory of the host, over a communicator.
 */
import { blockNumber } from '../../compiler/partition/blocks.ts';
import { expandSteps } from '../../compiler/plan/expand.ts';
import { checkLimits } from '../../compiler/plan/limits.ts';
import type { Package } from '../../compiler/plan/package.ts';
import { bufferBytes, packedBytes } from '../../compiler/plan/storage-bytes.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import { createRecorder, type Recorder } from '../trace/rank-recorder.ts';
import { timesOf } from '../trace/times-of-device.ts';
import type { OpenedDevice } from '../webgpu/device.ts';
import { createEncoding, type OwnCommand, submitCommands } from '../webgpu/encode.ts';
import type { Tensors } from '../webgpu/execute.ts';
import { inTurns } from '../webgpu/in-turns.ts';
import { type Allocator, allocateMemory, createAllocator } from '../webgpu/package-memory.ts';
import { createPipelines, kernelsOf } from '../webgpu/pipelines.ts';
import { bufferUsage, mapForReading } from '../webgpu/usage.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { Communicator } from './communicator.ts';
import { collectiveOf, resultOf, sourceOf } from './exchange-buffers.ts';
import { formGroups, type Groups, groupAlong, type LoadedRank } from './loaded-rank.ts';
import { checkMeshFits, coordinatesOf } from './mesh-groups.ts';
import { type ExchangeCommand, type Flight, type Round, roundsOf } from './rounds.ts';

/**
 * Not collective: what is wrong with this rank shows before others wait for it.
 * @param onPipeline hears how many kernels the driver has compiled, of how many.
 * @throws UserError as `loadPackage`; `no-device` where the mesh has not as many devices as there are ranks
 */
export async function loadRank(
  pkg: Package,
  opened: OpenedDevice,
  world: Communicator,
  onPipeline: (done: number, total: number) => void = () => undefined,
): Promise<LoadedRank> {
  const { manifest } = pkg;
  const { device, guard } = opened;
  const mesh: Mesh = manifest.mesh ?? { axes: [] };
  checkMeshFits(world, mesh);
  checkLimits(pkg, opened.profile, device.features);
  const expansion = expandSteps(manifest);
  const rounds = roundsOf<OwnCommand>(expansion.commands);
  const pipelines = await createPipelines(kernelsOf(pkg, expansion.commands), opened, onPipeline);
  const coordinates = coordinatesOf(mesh, world.rank);
  const memory = await allocateMemory(manifest, expansion, opened, (axis) =>
    blockNumber([axis], coordinates, mesh),
  );
  const shared = createAllocator(device);
  const destroy = () => {
    memory.destroy();
    shared.destroy();
  };
  try {
    const { lanes, encoded } = await guard('the exchanges with other devices', () => {
      const encode = createEncoding(device, pipelines, memory, manifest);
      return {
        lanes: lanesOf(rounds, shared),
        encoded: rounds.map((round) => ({ ...round, commands: round.commands.map(encode) })),
      };
    });
    const steps = rounds.flatMap(({ started }) => started.map(({ command }) => command.step));
    let forming: Promise<Groups> | undefined;
    const what = `a run of ${manifest.entry}`;

    const run = async (
      inputs: Tensors | undefined,
      recorder: Recorder | undefined,
    ): Promise<Map<string, TensorData>> => {
      forming ??= formGroups(world, mesh, steps);
      const groups = await forming;
      const arrivals = new Map<number, Promise<void>>();
      let begun: Promise<unknown> = Promise.resolve();
      /** What the flights send is in their staging buffers, once the device is that far. */
      const start = (flights: readonly Flight[]): void => {
        const taken = guard(what, () => Promise.all(flights.map((flight) => takeSource(flight, lanes))));
        // All ranks start their exchanges in the order of the program.
        const before = Promise.all([begun, taken]);
        begun = before;
        for (const flight of flights) {
          const arrival = before.then(async () => {
            const arrived = recorder?.exchange(flight.command.step, flight.lane);
            await exchange(flight, lanes, groups);
            arrived?.();
          });
          // It is waited for, and fails, where what arrives is needed.
          arrival.catch(() => undefined);
          arrivals.set(flight.lane, arrival);
        }
      };
      for (const [position, { awaited, commands, started }] of encoded.entries()) {
        await Promise.all(awaited.map(({ lane }) => arrivals.get(lane)));
        const isLast = position === encoded.length - 1;
        const outputs = await guard(what, async () => {
          if (position === 0) memory.write(inputs);
          for (const { command, lane } of awaited) {
            const bytes = bufferBytes(resultOf(command.step));
            device.queue.writeBuffer(memory.slots[command.to]!, 0, lanes[lane]!.receive, 0, bytes);
          }
          recorder?.times(await timesOf(opened, commands, recorder.now));
          submitCommands(device, recorder === undefined ? commands : [], (encoder) => {
            for (const { command, lane } of started) {
              const source = memory.slots[command.from]!;
              encoder.copyBufferToBuffer(
                source,
                0,
                lanes[lane]!.staging,
                0,
                bufferBytes(sourceOf(command.step)),
              );
            }
            if (isLast) memory.copyOutputs(encoder);
          });
          return isLast ? memory.takeOutputs() : undefined;
        });
        if (outputs !== undefined) return outputs;
        if (started.length > 0) start(started);
      }
      throw new Error(`${what} has no end`);
    };

    const inTurn = inTurns();
    return {
      mesh,
      peakBytes: memory.bytes + shared.bytes(),
      run: (inputs) => inTurn(() => run(inputs, undefined)),
      trace: (now) =>
        inTurn(async () => {
          const recorder = createRecorder(manifest, mesh, world.rank, now);
          await run(undefined, recorder);
          return recorder.slices();
        }),
      kernelClock: opened.timestamps ? 'device' : 'one by one',
      destroy,
    };
  } catch (error) {
    destroy();
    throw error;
  }
}

// ── by way of the host ─────────────────────────────────────────────────────────────────────────────────────

/** The way of one exchange at a time, large enough for all that take it. */
interface Lane {
  readonly staging: GPUBuffer;
  readonly send: Uint8Array<ArrayBuffer>;
  readonly receive: Uint8Array<ArrayBuffer>;
}

function lanesOf(rounds: readonly Round<OwnCommand>[], allocator: Allocator): readonly Lane[] {
  const flights = rounds.flatMap(({ started }) => started);
  const count = flights.reduce((lanes, { lane }) => Math.max(lanes, lane + 1), 0);
  const most = (place: number, bytesOf: (command: ExchangeCommand) => number) =>
    flights.reduce(
      (bytes, { command, lane }) => (lane === place ? Math.max(bytes, bytesOf(command)) : bytes),
      0,
    );
  const { mapRead, copyDestination } = bufferUsage;
  return Array.from({ length: count }, (_, place) => {
    const sends = most(place, (command) => bufferBytes(sourceOf(command.step)));
    return {
      staging: allocator.allocate(`exchange ${place}`, sends, mapRead | copyDestination),
      send: new Uint8Array(sends),
      receive: new Uint8Array(most(place, (command) => bufferBytes(resultOf(command.step)))),
    };
  });
}

async function takeSource({ command, lane }: Flight, lanes: readonly Lane[]): Promise<void> {
  const { staging, send } = lanes[lane]!;
  const bytes = bufferBytes(sourceOf(command.step));
  await staging.mapAsync(mapForReading, 0, bytes);
  send.set(new Uint8Array(staging.getMappedRange(0, bytes)));
  staging.unmap();
}

async function exchange({ command, lane }: Flight, lanes: readonly Lane[], groups: Groups): Promise<void> {
  const { send, receive } = lanes[lane]!;
  const { step } = command;
  const result = resultOf(step);
  // The last word is written whole: filled up with zeros, not with what was there before.
  receive.fill(0, packedBytes(result), bufferBytes(result));
  await groupAlong(groups, step.axes).exchange(
    collectiveOf(step),
    send.subarray(0, packedBytes(sourceOf(step))),
    receive.subarray(0, packedBytes(result)),
  );
}
