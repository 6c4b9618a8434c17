/** Runs lowered properties on a WebGPU device, the devices of a mesh as logical ones. */
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import { compileFor, type Instance, type Lowered } from '../../driver/compile.ts';
import { loadMesh } from '../../runtime/mesh/run-mesh.ts';
import { runWhole } from '../../runtime/mesh/whole-tensors.ts';
import type { OpenedDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import { inMemory } from '../../runtime/weights/stored-tensor.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../../runtime/weights/tensor-data.ts';

export type Values = ReadonlyMap<string, TensorValue<number>>;

/** What is loaded stays so until it has not been used for a while. */
export interface DeviceRunner {
  /** @param key the same for the same program */
  readonly run: (key: string, lowered: Lowered, instance: Instance, inputs: Values) => Promise<Values>;
  readonly destroy: () => void;
}

interface Loaded {
  readonly run: (inputs: ReadonlyMap<string, TensorData>) => Promise<ReadonlyMap<string, TensorData>>;
  readonly destroy: () => void;
}

const mostLoaded = 16;

export function deviceRunner(device: OpenedDevice): DeviceRunner {
  // In the order of their last use.
  const loaded = new Map<string, Loaded>();
  const loadedFor = async (key: string, lowered: Lowered, instance: Instance): Promise<Loaded> => {
    const found = loaded.get(key) ?? (await load(lowered, instance, device));
    loaded.delete(key);
    loaded.set(key, found);
    const [oldest] = loaded.keys();
    if (loaded.size > mostLoaded && oldest !== undefined) {
      loaded.get(oldest)!.destroy();
      loaded.delete(oldest);
    }
    return found;
  };
  return {
    run: async (key, lowered, instance, inputs) => {
      const program = await loadedFor(key, lowered, instance);
      const given = [...inputs].map(([path, { dtype, shape, data }]) => {
        return [path, tensorFromValues(dtype, shape, Float64Array.from(data as ArrayLike<number>))] as const;
      });
      const outputs = await program.run(new Map(given));
      return new Map([...outputs].map(([path, tensor]) => [path, { ...tensor, data: tensorValues(tensor) }]));
    },
    destroy: () => {
      for (const { destroy } of loaded.values()) destroy();
      loaded.clear();
    },
  };
}

async function load(lowered: Lowered, instance: Instance, device: OpenedDevice): Promise<Loaded> {
  const { package: compiled } = compileFor(lowered, instance, device.profile);
  if (compiled.manifest.mesh === undefined) return loadPackage(compiled, device);
  const mesh = await loadMesh(compiled, device);
  return {
    run: (inputs) =>
      runWhole(mesh, compiled.manifest, new Map([...inputs].map(([path, data]) => [path, inMemory(data)]))),
    destroy: mesh.destroy,
  };
}
