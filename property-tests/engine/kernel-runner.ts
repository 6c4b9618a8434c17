/** Runs lowered properties in kernels, on the devices of a mesh as logical ones. */
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import type { AnyManifest } from '../../compiler/plan/package.ts';
import type { KernelTarget } from '../../driver/choose-target.ts';
import { compileFor, compilePtx, compileWasm } from '../../driver/compile.ts';
import type { Instance, Lowered } from '../../driver/lower.ts';
import type { CudaDevice } from '../../runtime/cuda/device.ts';
import { loadCuda } from '../../runtime/cuda/load.ts';
import { type LoadedLaunchMesh, loadCudaMesh, loadWasmMesh } from '../../runtime/mesh/run-launch-mesh.ts';
import { loadMesh } from '../../runtime/mesh/run-mesh.ts';
import { runWhole } from '../../runtime/mesh/whole-tensors.ts';
import { wasmDeviceHere } from '../../runtime/wasm/features.ts';
import { loadWasm } from '../../runtime/wasm/load.ts';
import type { OpenedDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import { inMemory } from '../../runtime/weights/stored-tensor.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../../runtime/weights/tensor-data.ts';

export type Values = ReadonlyMap<string, TensorValue<number>>;

/** What is loaded stays so until it has not been used for a while. */
export interface KernelRunner {
  /** @param key the same for the same program */
  readonly run: (key: string, lowered: Lowered, instance: Instance, inputs: Values) => Promise<Values>;
  readonly destroy: () => void;
}

/** Of the targets that there are. */
export type Runners = { readonly [T in KernelTarget]?: KernelRunner };

interface Loaded {
  readonly run: (inputs: ReadonlyMap<string, TensorData>) => Promise<ReadonlyMap<string, TensorData>>;
  readonly destroy: () => void;
}

const mostLoaded = 16;

type Load = (lowered: Lowered, instance: Instance) => Promise<Loaded>;

function runnerOf(load: Load): KernelRunner {
  // In the order of their last use.
  const loaded = new Map<string, Loaded>();
  const loadedFor = async (key: string, lowered: Lowered, instance: Instance): Promise<Loaded> => {
    const found = loaded.get(key) ?? (await load(lowered, instance));
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

export function webGpuRunner(device: OpenedDevice): KernelRunner {
  return runnerOf(async (lowered, instance) => {
    const { package: compiled } = compileFor(lowered, instance, device.profile);
    if (compiled.manifest.mesh === undefined) return loadPackage(compiled, device);
    return onMesh(compiled.manifest, await loadMesh(compiled, device));
  });
}

/** On one thread: cases are small. */
export function wasmRunner(): KernelRunner {
  return runnerOf(async (lowered, instance) => {
    const { package: compiled } = compileWasm(lowered, instance, wasmDeviceHere());
    if (compiled.manifest.mesh !== undefined)
      return onMesh(compiled.manifest, await loadWasmMesh(compiled, { threads: 1 }));
    const { run, destroy } = await loadWasm(compiled, { threads: 1 });
    return { run: async (inputs) => run(inputs), destroy };
  });
}

export function cudaRunner(device: CudaDevice): KernelRunner {
  return runnerOf(async (lowered, instance) => {
    const { package: compiled } = compilePtx(lowered, instance, device.target);
    if (compiled.manifest.mesh === undefined) return loadCuda(compiled, device);
    return onMesh(compiled.manifest, await loadCudaMesh(compiled, device));
  });
}

function onMesh(manifest: AnyManifest, loaded: Pick<LoadedLaunchMesh, 'mesh' | 'run' | 'destroy'>): Loaded {
  return {
    run: (inputs) =>
      runWhole(loaded, manifest, new Map([...inputs].map(([path, data]) => [path, inMemory(data)]))),
    destroy: loaded.destroy,
  };
}
