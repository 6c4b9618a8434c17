/**
 * Runs the program of one device of a mesh as one rank of a job, on a device whose memory the host reaches.
 * In WebAssembly what it exchanges with others is sent from the memory of its kernels, and arrives there. It
 * does so on GPUs whose memory the communicator reaches.
 */
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { blockNumber } from '../../compiler/partition/blocks.ts';
import { checkLaunches } from '../../compiler/plan/expand.ts';
import type { AnyManifest, AnyPackageKernel, PtxPackage, WasmPackage } from '../../compiler/plan/package.ts';
import { packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { type Launch, walkSteps } from '../../compiler/plan/walk-steps.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { CudaDevice } from '../cuda/device.ts';
import { openCuda } from '../cuda/devices.ts';
import type { Coordinate, LaunchDevices, OwnLaunch } from '../launch-device.ts';
import { timeAwaited } from '../time-launches.ts';
import { createRecorder, type Recorder } from '../trace/rank-recorder.ts';
import type { WasmOptions } from '../wasm/devices.ts';
import { openWasmLaunches } from '../wasm/launch-devices.ts';
import type { Tensors } from '../webgpu/execute.ts';
import { inTurns } from '../webgpu/in-turns.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { World } from './communicator.ts';
import { collectiveOf, resultOf, sourceOf } from './exchange-buffers.ts';
import { formGroups, type Groups, groupAlong, type KernelClock, type LoadedRank } from './loaded-rank.ts';
import { checkMeshFits, coordinatesOf } from './mesh-groups.ts';
import { type Flight, roundsOf } from './rounds.ts';

/**
 * Not collective: what is wrong with this rank shows before others wait for it. The ranks of a machine share
 * its cores.
 * @throws UserError as `openWasm`; `no-device` where the mesh has not as many devices as there are ranks;
 * `exceeds-device` where there would be more than a million launches
 */
export function loadWasmRank(
  pkg: WasmPackage,
  world: World,
  { threads = Math.max(1, Math.floor(availableParallelism() / world.neighbours)) }: WasmOptions = {},
): Promise<LoadedRank> {
  return loadLaunchRank(pkg.manifest, world, 'host', (place) => openWasmLaunches(pkg, [place], { threads }));
}

/**
 * Not collective. The rank has the device to itself; where the world has one, it is that.
 * @param progress hears how many kernels are compiled, of how many
 * @throws UserError as `openCuda`; `no-device` and `exceeds-device` as `loadWasmRank`
 */
export function loadCudaRank(
  pkg: PtxPackage,
  world: World,
  device: CudaDevice,
  progress?: (done: number, total: number) => void,
): Promise<LoadedRank> {
  const open = async (place: Coordinate) => openCuda(pkg, [place], world.device ?? device, progress);
  return loadLaunchRank(pkg.manifest, world, 'one by one', open);
}

async function loadLaunchRank(
  manifest: AnyManifest,
  world: World,
  kernelClock: KernelClock,
  open: (place: Coordinate) => Promise<LaunchDevices>,
): Promise<LoadedRank> {
  const { slots, steps } = manifest;
  const mesh: Mesh = manifest.mesh ?? { axes: [] };
  checkMeshFits(world, mesh);
  checkLaunches(steps);
  const launches: Launch[] = [];
  const finalBuffer = walkSteps(steps, slots.length, (launch) => launches.push(launch));
  const rounds = roundsOf<OwnLaunch>(launches, overwritten(manifest));
  const flights = rounds.flatMap(({ started }) => started);
  const coordinates = coordinatesOf(mesh, world.rank);
  const { devices, bytes, destroy } = await open((axis) => blockNumber([axis], coordinates, mesh));
  const device = devices[0]!;
  const isOnDevice = device.address !== undefined && world.exchangeOnDevice !== undefined;
  const copies = isOnDevice ? new Map<number, Uint8Array>() : copiesOf(flights);

  /** What is sent, in memory that nobody touches until it has arrived. */
  const sourceFor = async ({ command: { step, from, to }, lane }: Flight): Promise<Uint8Array> => {
    const source = await device.sent(from, packedBytes(sourceOf(step)));
    if (from !== to) return source;
    const copy = copies.get(lane)!.subarray(0, source.byteLength);
    copy.set(source);
    return copy;
  };
  /** What sends and takes, once what is sent is there. */
  const prepared = async (flight: Flight, groups: Groups): Promise<() => Promise<void>> => {
    const { step, from, to } = flight.command;
    const [group, collective] = [groupAlong(groups, step.axes), collectiveOf(step)];
    const { address } = device;
    const { exchangeOnDevice } = group;
    if (address !== undefined && exchangeOnDevice !== undefined)
      return () => exchangeOnDevice(collective, address(from), address(to), packedBytes(sourceOf(step)));
    const source = await sourceFor(flight);
    const { room, done } = device.arriving(to, packedBytes(resultOf(step)));
    return () => group.exchange(collective, source, room).then(done);
  };
  const performed = async (command: OwnLaunch): Promise<void> => {
    device.perform(command);
    await device.finish();
  };
  let forming: Promise<Groups> | undefined;

  const run = async (inputs: Tensors, recorder: Recorder | undefined): Promise<Map<string, TensorData>> => {
    forming ??= formGroups(
      world,
      mesh,
      flights.map(({ command }) => command.step),
    );
    const groups = await forming;
    device.write(inputs);
    device.begin?.();
    const arrivals = new Map<number, Promise<void>>();
    const start = async (flight: Flight): Promise<void> => {
      const exchange = await prepared(flight, groups);
      const arrived = recorder?.exchange(flight.command.step, flight.lane);
      const arrival = exchange().then(arrived);
      // It is waited for, and fails, where what arrives is needed.
      arrival.catch(() => undefined);
      arrivals.set(flight.lane, arrival);
    };
    for (const { awaited, commands, started } of rounds) {
      await Promise.all(awaited.map(({ lane }) => arrivals.get(lane)));
      for (const { lane } of awaited) arrivals.delete(lane);
      for (const command of commands) {
        // What is on the way moves while the event loop turns.
        if (arrivals.size > 0) await setImmediate();
        if (recorder === undefined) device.perform(command);
        else recorder.times([await timeAwaited(command, () => performed(command), recorder.now)]);
      }
      for (const flight of started) await start(flight);
    }
    return device.read(finalBuffer);
  };

  const inTurn = inTurns();
  return {
    mesh,
    peakBytes: [...copies.values()].reduce((sum, copy) => sum + copy.byteLength, bytes),
    run: (inputs) => inTurn(() => run(inputs, undefined)),
    trace: (now) =>
      inTurn(async () => {
        const recorder = createRecorder(manifest, mesh, world.rank, now);
        await run(new Map(), recorder);
        return recorder.slices();
      }),
    kernelClock,
    destroy,
  };
}

/** By lane: room for what is sent from where the result arrives. */
function copiesOf(flights: readonly Flight[]): ReadonlyMap<number, Uint8Array> {
  const most = new Map<number, number>();
  for (const { command, lane } of flights)
    if (command.from === command.to)
      most.set(lane, Math.max(most.get(lane) ?? 0, packedBytes(sourceOf(command.step))));
  return new Map([...most].map(([lane, bytes]) => [lane, new Uint8Array(bytes)]));
}

/** The buffers that a launch changes. */
function overwritten({ kernels }: AnyManifest): (launch: OwnLaunch) => readonly number[] {
  const bindings = new Map(
    kernels.map(({ name, bindings }): [string, AnyPackageKernel['bindings']] => [name, bindings]),
  );
  return (launch) => {
    if (launch.kind === 'copy') return [launch.to];
    const access = bindings.get(launch.kernel)!;
    return launch.buffers.filter((_, binding) => access[binding] !== 'read');
  };
}
