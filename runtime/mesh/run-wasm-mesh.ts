/**
 * Runs the program of each device of a mesh on the processor: the devices are logical ones, each with memory
 * of its own, that take turns; what they exchange goes from memory to memory.
 */
import { allCoordinates, blockNumber } from '../../compiler/partition/blocks.ts';
import { groupsAlong } from '../../compiler/partition/devices.ts';
import type { WasmPackage } from '../../compiler/plan/package.ts';
import { packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { type Launch, walkSteps } from '../../compiler/plan/walk-steps.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import { type Done, meshTrace } from '../trace/mesh-trace.ts';
import type { Trace } from '../trace/trace.ts';
import { openWasm, running, type WasmOptions } from '../wasm/devices.ts';
import { stopwatch, timeLaunch } from '../wasm/time-launches.ts';
import type { Tensors } from '../webgpu/execute.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import { checkBlocks } from './check-blocks.ts';
import { collectiveOf, resultOf, sourceOf } from './exchange-buffers.ts';
import { performCollective } from './in-process.ts';
import { type Traffic, trafficOf } from './traffic.ts';

/** As `LoadedMesh`. */
export interface LoadedWasmMesh {
  readonly mesh: Mesh;
  /** Bytes of memory that all devices together hold. */
  readonly peakBytes: number;
  readonly traffic: Traffic;
  /**
   * Takes and gives the blocks of each device. Inputs left out stay as last given.
   * @throws UserError `wrong-input`, `device-refused`, `device-lost`
   */
  readonly run: (inputs: readonly Tensors[]) => Promise<Map<string, TensorData>[]>;
  /** Runs on the inputs last given, and says what each device did. */
  readonly trace: () => Promise<Trace>;
  readonly destroy: () => void;
}

type Exchange = Extract<Launch, { readonly kind: 'exchange' }>;

/**
 * A package without a mesh runs on one device.
 * @throws UserError as `openWasm`
 */
export async function loadWasmMesh(pkg: WasmPackage, options: WasmOptions = {}): Promise<LoadedWasmMesh> {
  const { manifest } = pkg;
  const { entry, slots, steps } = manifest;
  const mesh: Mesh = manifest.mesh ?? { axes: [] };
  const places = allCoordinates(mesh).map(
    (coordinates) => (axis: string) => blockNumber([axis], coordinates, mesh),
  );
  const { devices, bytes, destroy } = await openWasm(pkg, places, options);

  /** In each of the groups along the axes, by rank. */
  const exchange = ({ step, from, to }: Exchange, group: readonly number[]): void => {
    const [sent, received] = [packedBytes(sourceOf(step)), packedBytes(resultOf(step))];
    performCollective(
      collectiveOf(step),
      group.map((device) => devices[device]!.memoryOf(from, sent)),
      group.map((device) => devices[device]!.memoryOf(to, received)),
    );
  };
  /** Each launch on all devices before the next. */
  const compute = (done: (doer: Done['doer'], launch: Launch, work: () => void) => void) => {
    let number = 0;
    const launchAll = (launch: Launch): void => {
      if (launch.kind !== 'exchange') {
        for (const [device, { perform }] of devices.entries())
          done({ kind: 'device', device }, launch, () => perform(launch));
        return;
      }
      const { step } = launch;
      for (const group of groupsAlong(step.axes, mesh))
        done({ kind: 'group', step, group, number }, launch, () => exchange(launch, group));
      number++;
    };
    return running(entry, () => walkSteps(steps, slots.length, launchAll));
  };

  return {
    mesh,
    peakBytes: bytes,
    traffic: trafficOf(steps, mesh),
    run: async (inputs) => {
      checkBlocks(entry, inputs, devices);
      for (const [number, { write }] of devices.entries()) write(inputs[number]!);
      const finalBuffer = compute((_, __, work) => work());
      return devices.map(({ read }) => read(finalBuffer));
    },
    trace: async () => {
      const now = stopwatch();
      const done: Done[] = [];
      compute((doer, launch, work) => done.push({ doer, time: timeLaunch(launch, work, now) }));
      return meshTrace(manifest, mesh, done, 'host');
    },
    destroy,
  };
}
