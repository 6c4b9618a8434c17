/** What runs and times a program, however it is scheduled: an adapter, or the processor. */
import type { Graph } from '../../compiler/graph/graph.ts';
import type { Advice } from '../../compiler/tiles/choices/advice.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import { loadWasm } from '../../runtime/wasm/load.ts';
import type { OpenedDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';
import { compileFor, compileWasm } from '../compile.ts';

type Tensors = ReadonlyMap<string, TensorData>;

export interface Loaded {
  readonly run: (inputs: Tensors) => Promise<Tensors>;
  /** Milliseconds of one more run on the same inputs: of the device's own clock where it has one. */
  readonly time: () => Promise<number>;
  readonly destroy: () => void;
}

export interface Trier {
  readonly device: DeviceProfile;
  /** @throws UserError when the device cannot run it, or its driver refuses to. */
  readonly load: (graph: Graph, advice: Advice) => Promise<Loaded>;
}

export function onAdapter(opened: OpenedDevice): Trier {
  const device = opened.profile;
  return {
    device,
    load: async (graph, advice) => {
      const loaded = await loadPackage(compileFor(...program(graph, advice), device).package, opened);
      return {
        run: loaded.run,
        time: opened.timestamps
          ? async () => (await loaded.time()).reduce((sum, { nanoseconds }) => sum + nanoseconds / 1e6, 0)
          : () => timed(loaded.runOnDevice),
        destroy: loaded.destroy,
      };
    },
  };
}

export function onProcessor(device: DeviceProfile): Trier {
  return {
    device,
    load: async (graph, advice) => {
      const loaded = await loadWasm(compileWasm(...program(graph, advice), device).package);
      return {
        run: async (inputs) => loaded.run(inputs),
        time: () => timed(async () => loaded.compute()),
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

/** The graph is optimized already. */
function program(graph: Graph, advice: Advice) {
  return [
    { optimized: graph, below: new Map<string, number>() },
    { entry: graph.name, sizes: new Map<string, number>(), inputDtypes: new Map(), advice },
  ] as const;
}
