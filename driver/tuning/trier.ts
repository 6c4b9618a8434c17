/** What runs and times a program, however it is scheduled: an adapter, a GPU of CUDA, or the processor. */
import type { Graph } from '../../compiler/graph/graph.ts';
import type { PtxPackage } from '../../compiler/plan/package.ts';
import type { Allowance } from '../../compiler/tiles/allowances.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import type { Rates } from '../../compiler/tiles/device-rates.ts';
import type { ChosenSchedule } from '../../compiler/tiles/scheduled.ts';
import { copiesPast, loadCopies, type Stopwatch, stopwatchOf } from '../../runtime/cuda/copies.ts';
import type { CudaDevice } from '../../runtime/cuda/device.ts';
import type { DriverDevice } from '../../runtime/cuda/driver/open.ts';
import type { WasmOptions } from '../../runtime/wasm/devices.ts';
import { loadWasm } from '../../runtime/wasm/load.ts';
import type { OpenedDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';
import { cudaDeviceFor, packageFor, packagePtx, packageWasm } from '../compile.ts';
import type { CompilingAhead } from './compile-ahead.ts';
import { programOf } from './program-of.ts';

type Tensors = ReadonlyMap<string, TensorData>;

export interface Loaded {
  readonly run: (inputs: Tensors) => Promise<Tensors>;
  /** Once more, on the same inputs. */
  readonly runAgain: () => Promise<void>;
  /** Milliseconds of one more run on the same inputs: of the device's own clock where it has one. */
  readonly time: () => Promise<number>;
  readonly destroy: () => void;
}

export interface Trier {
  readonly device: DeviceProfile;
  /**
   * @param graph optimized
   * @throws UserError when the device cannot run it, or its driver refuses to.
   */
  readonly load: (graph: Graph, schedule: ChosenSchedule) => Promise<Loaded>;
  /** Hears what will be loaded soon, where something can be done for it beside what runs. */
  readonly expect?: (graph: Graph, schedule: ChosenSchedule) => void;
}

/** @param rates of the adapter, where they were measured */
export function onAdapter(opened: OpenedDevice, rates?: Rates): Trier {
  const device = { ...opened.profile, rates };
  return {
    device,
    load: async (graph, schedule) => {
      const compiled = packageFor(...programOf(graph), schedule, device);
      const loaded = await loadPackage(compiled.package, opened);
      return {
        run: loaded.run,
        runAgain: loaded.runOnDevice,
        time: opened.timestamps
          ? async () => (await loaded.time()).reduce((sum, { nanoseconds }) => sum + nanoseconds / 1e6, 0)
          : () => timed(loaded.runOnDevice),
        destroy: loaded.destroy,
      };
    },
  };
}

/** @param rates of the processor, where they were measured */
export function onProcessor(profile: DeviceProfile, rates?: Rates, options: WasmOptions = {}): Trier {
  const device = { ...profile, rates };
  return {
    device,
    load: async (graph, schedule) => {
      const compiled = packageWasm(...programOf(graph), schedule, device);
      const loaded = await loadWasm(compiled.package, options);
      const runAgain = async () => loaded.compute();
      return {
        run: async (inputs) => loaded.run(inputs),
        runAgain,
        time: () => timed(runAgain),
        destroy: loaded.destroy,
      };
    },
  };
}

/** A timed piece of work has about so many seconds. */
const pieceSeconds = 0.002;

export interface GpuTrials {
  /** Of the GPU, where they were measured. */
  readonly rates?: Rates | undefined;
  /** What matrix units may do that changes results. */
  readonly allowed?: readonly Allowance[];
  /** Compiles what is expected. */
  readonly ahead?: CompilingAhead | undefined;
}

/** Times by events of the GPU, on one copy of the tensors after another. */
export function onGpu(gpu: DriverDevice, { rates, allowed = [], ahead }: GpuTrials): Trier {
  const device = { ...cudaDeviceFor(gpu.target, { allowed }), rates };
  const expected = new WeakMap<ChosenSchedule, Promise<PtxPackage | undefined>>();
  const kept = keepingInputs(gpu);
  return {
    device,
    expect: (graph, schedule) => {
      if (ahead === undefined || expected.has(schedule)) return;
      expected.set(schedule, ahead.compile(graph, schedule, gpu.target));
    },
    load: async (graph, schedule) => {
      const made = await expected.get(schedule);
      const pkg = made ?? packagePtx(...programOf(graph), schedule, gpu.target).package;
      const loaded = loadCopies(pkg, copiesPast(gpu.gpu.l2Bytes, pkg.manifest.peakBytes), kept.device);
      let stopwatch: Stopwatch | undefined;
      return {
        run: (inputs) => {
          kept.begin(inputs);
          return loaded.run(inputs);
        },
        runAgain: async () => {
          loaded.perform();
          await gpu.synchronize();
        },
        time: async () => {
          stopwatch ??= await stopwatchOf(gpu, loaded);
          return 1000 * (await stopwatch.time(pieceSeconds));
        },
        destroy: () => {
          stopwatch?.destroy();
          loaded.destroy();
        },
      };
    },
  };
}

/** A device on which inputs that come again are copied from where they are: all choices get the same. */
function keepingInputs(gpu: DriverDevice) {
  let current: Tensors | undefined;
  const places = new Map<Uint8Array, bigint>();
  const device: CudaDevice = {
    ...gpu,
    write: (address, bytes) => {
      const isInput = [...(current?.values() ?? [])].some((tensor) => tensor.bytes === bytes);
      if (!isInput) return gpu.write(address, bytes);
      const known = places.get(bytes);
      const place = known ?? gpu.allocate(bytes.byteLength);
      if (known === undefined) gpu.write(place, bytes);
      places.set(bytes, place);
      gpu.copy(place, address, bytes.byteLength);
    },
  };
  return {
    device,
    begin: (inputs: Tensors) => {
      if (inputs === current) return;
      for (const place of places.values()) gpu.free(place);
      places.clear();
      current = inputs;
    },
  };
}

async function timed(run: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}
