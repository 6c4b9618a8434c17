/**
 * Runs the program of each device of a mesh as logical devices of one, or of the processor: each has memory
 * of its own, they take turns, and what they exchange goes through the memory of the host.
 */
import { allCoordinates, blockNumber } from '../../compiler/partition/blocks.ts';
import { groupsAlong } from '../../compiler/partition/devices.ts';
import type { AnyManifest, PtxPackage, WasmPackage } from '../../compiler/plan/package.ts';
import { packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { type Launch, launchesOf } from '../../compiler/plan/walk-steps.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { CudaDevice } from '../cuda/device.ts';
import { openCuda } from '../cuda/devices.ts';
import type { Coordinate, LaunchDevices } from '../launch-device.ts';
import { stopwatch, timeAwaited } from '../time-launches.ts';
import { type Done, meshTrace } from '../trace/mesh-trace.ts';
import type { Trace } from '../trace/trace.ts';
import type { WasmOptions } from '../wasm/devices.ts';
import { openWasmLaunches } from '../wasm/launch-devices.ts';
import type { Tensors } from '../webgpu/execute.ts';
import { inTurns } from '../webgpu/in-turns.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import { checkBlocks } from './check-blocks.ts';
import { collectiveOf, resultOf, sourceOf } from './exchange-buffers.ts';
import { performCollective } from './in-process.ts';
import { type Traffic, trafficOf } from './traffic.ts';

/** As `LoadedMesh`. */
export interface LoadedLaunchMesh {
  readonly mesh: Mesh;
  /** Bytes of memory that all devices together hold. */
  readonly peakBytes: number;
  readonly traffic: Traffic;
  /**
   * Takes and gives the blocks of each device. Inputs left out stay as last given.
   * @throws UserError `wrong-input`, and as the devices do
   */
  readonly run: (inputs: readonly Tensors[]) => Promise<Map<string, TensorData>[]>;
  /** Runs on the inputs last given, and says what each device did. */
  readonly trace: () => Promise<Trace>;
  readonly destroy: () => void;
}

/** @throws UserError as `openWasm` */
export function loadWasmMesh(pkg: WasmPackage, options: WasmOptions = {}): Promise<LoadedLaunchMesh> {
  return loadLaunchMesh(pkg.manifest, (places) => openWasmLaunches(pkg, places, options));
}

/**
 * @param progress hears how many kernels are compiled, of how many
 * @throws UserError as `openCuda`
 */
export function loadCudaMesh(
  pkg: PtxPackage,
  device: CudaDevice,
  progress?: (done: number, total: number) => void,
): Promise<LoadedLaunchMesh> {
  return loadLaunchMesh(pkg.manifest, async (places) => openCuda(pkg, places, device, progress));
}

type Exchange = Extract<Launch, { readonly kind: 'exchange' }>;

/** A package without a mesh runs on one device. */
async function loadLaunchMesh(
  manifest: AnyManifest,
  open: (places: readonly Coordinate[]) => Promise<LaunchDevices>,
): Promise<LoadedLaunchMesh> {
  const { entry, slots, steps } = manifest;
  const mesh: Mesh = manifest.mesh ?? { axes: [] };
  const places = allCoordinates(mesh).map(
    (coordinates) => (axis: string) => blockNumber([axis], coordinates, mesh),
  );
  const { devices, bytes, destroy } = await open(places);

  /** In each of the groups along the axes, by rank. */
  const exchange = async ({ step, from, to }: Exchange, group: readonly number[]): Promise<void> => {
    const [sends, receives] = [packedBytes(sourceOf(step)), packedBytes(resultOf(step))];
    const sent = await Promise.all(group.map((device) => devices[device]!.sent(from, sends)));
    const arriving = group.map((device) => devices[device]!.arriving(to, receives));
    performCollective(
      collectiveOf(step),
      sent,
      arriving.map(({ room }) => room),
    );
    for (const { done } of arriving) done();
  };
  /** Each launch on all devices before the next. */
  const compute = async (
    done: (doer: Done['doer'], launch: Launch, work: () => void | Promise<void>) => void | Promise<void>,
  ): Promise<readonly number[]> => {
    const launches = launchesOf(steps, slots.length);
    for (const { begin } of devices) begin?.();
    let number = 0;
    for (;;) {
      const next = launches.next();
      if (next.done) return next.value;
      const launch = next.value;
      if (launch.kind !== 'exchange') {
        for (const [device, { perform }] of devices.entries()) {
          const begun = done({ kind: 'device', device }, launch, () => perform(launch));
          if (begun !== undefined) await begun;
        }
        continue;
      }
      const { step } = launch;
      for (const group of groupsAlong(step.axes, mesh))
        await done({ kind: 'group', step, group, number }, launch, () => exchange(launch, group));
      number++;
    }
  };

  const inTurn = inTurns();
  return {
    mesh,
    peakBytes: bytes,
    traffic: trafficOf(steps, mesh),
    run: (inputs) =>
      inTurn(async () => {
        checkBlocks(entry, inputs, devices);
        for (const [number, { write }] of devices.entries()) write(inputs[number]!);
        const finalBuffer = await compute((_, __, work) => work());
        return Promise.all(devices.map(({ read }) => read(finalBuffer)));
      }),
    trace: () =>
      inTurn(async () => {
        const now = stopwatch();
        const done: Done[] = [];
        await compute(async (doer, launch, work) => {
          const waiting = async () => {
            await work();
            if (doer.kind === 'device') await devices[doer.device]!.finish();
          };
          done.push({ doer, time: await timeAwaited(launch, waiting, now) });
        });
        return meshTrace(manifest, mesh, done, 'host');
      }),
    destroy,
  };
}
