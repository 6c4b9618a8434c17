/** What runs and times a program, however it is scheduled: an adapter, or the processor. */
import type { Graph } from '../../compiler/graph/graph.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import type { Rates } from '../../compiler/tiles/device-rates.ts';
import type { ChosenSchedule } from '../../compiler/tiles/scheduled.ts';
import type { WasmOptions } from '../../runtime/wasm/devices.ts';
import { loadWasm } from '../../runtime/wasm/load.ts';
import type { OpenedDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';
import { packageFor, packageWasm } from '../compile.ts';

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

async function timed(run: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

function programOf(graph: Graph) {
  return [
    { optimized: graph, below: new Map<string, number>() },
    { entry: graph.name, sizes: new Map<string, number>(), inputDtypes: new Map() },
  ] as const;
}
