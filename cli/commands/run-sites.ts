/** Packages of each target where they run: in one process, or as a rank of a job. */
import type { AnyPackage, Package, PtxPackage, WasmPackage } from '../../compiler/plan/package.ts';
import type { CudaDevice } from '../../runtime/cuda/device.ts';
import { loadCuda } from '../../runtime/cuda/load.ts';
import type { World } from '../../runtime/mesh/communicator.ts';
import type { LoadedRank } from '../../runtime/mesh/loaded-rank.ts';
import { loadCudaMesh, loadWasmMesh } from '../../runtime/mesh/run-launch-mesh.ts';
import { loadCudaRank, loadWasmRank } from '../../runtime/mesh/run-launch-rank.ts';
import { loadMesh } from '../../runtime/mesh/run-mesh.ts';
import { loadRank } from '../../runtime/mesh/run-rank.ts';
import { runWhole } from '../../runtime/mesh/whole-tensors.ts';
import { deviceTrace } from '../../runtime/trace/mesh-trace.ts';
import type { Trace } from '../../runtime/trace/trace.ts';
import { loadWasm } from '../../runtime/wasm/load.ts';
import type { OpenedDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import type { StoredTensor } from '../../runtime/weights/stored-tensor.ts';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';
import type { Output } from '../output.ts';

/** What a run is given. */
export interface RunInputs {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The same in memory. */
  readonly readAll: () => ReadonlyMap<string, TensorData>;
  /** Of a package that is bounded: its sizes in this run. */
  readonly ofRun: ReadonlyMap<string, number>;
}

/** A package where it runs. */
export interface Site {
  readonly pkg: AnyPackage;
  readonly load: () => Promise<Loaded>;
  readonly loadRank: (world: World) => Promise<LoadedRank>;
}

/** What all ways of running in one process have. */
interface Loaded {
  readonly run: (given: RunInputs) => Promise<ReadonlyMap<string, TensorData>>;
  readonly trace: () => Promise<Trace>;
  readonly destroy: () => void;
}

export function onWebGpu(pkg: Package, opened: OpenedDevice, output: Output): Site {
  const { manifest } = pkg;
  const onPipeline = compiling(output);
  return {
    pkg,
    load: async () => {
      if (manifest.mesh !== undefined) {
        const loaded = await loadMesh(pkg, opened, onPipeline);
        return { ...loaded, run: ({ tensors }) => runWhole(loaded, manifest, tensors) };
      }
      const loaded = await loadPackage(pkg, opened, onPipeline);
      const run = (given: RunInputs) => loaded.run(given.readAll(), given.ofRun);
      return { ...loaded, run, trace: async () => deviceTrace(manifest, await loaded.time(), 'device') };
    },
    loadRank: (world) => loadRank(pkg, opened, world, onPipeline),
  };
}

export function inWasm(pkg: WasmPackage, output: Output): Site {
  const { manifest } = pkg;
  const onKernel = compiling(output);
  return {
    pkg,
    load: async () => {
      onKernel(0, 1);
      if (manifest.mesh !== undefined) {
        const loaded = await loadWasmMesh(pkg);
        return { ...loaded, run: ({ tensors }) => runWhole(loaded, manifest, tensors) };
      }
      const loaded = await loadWasm(pkg);
      const run = async (given: RunInputs) => loaded.run(given.readAll(), given.ofRun);
      return { ...loaded, run, trace: async () => deviceTrace(manifest, loaded.time(), 'host') };
    },
    loadRank: (world) => {
      onKernel(0, 1);
      return loadWasmRank(pkg, world);
    },
  };
}

export function onCuda(pkg: PtxPackage, device: CudaDevice, output: Output): Site {
  const { manifest } = pkg;
  const onKernel = compiling(output);
  return {
    pkg,
    load: async () => {
      if (manifest.mesh !== undefined) {
        const loaded = await loadCudaMesh(pkg, device, onKernel);
        return { ...loaded, run: ({ tensors }) => runWhole(loaded, manifest, tensors) };
      }
      const loaded = loadCuda(pkg, device, onKernel);
      const run = (given: RunInputs) => loaded.run(given.readAll(), given.ofRun);
      return { ...loaded, run, trace: async () => deviceTrace(manifest, await loaded.time(), 'host') };
    },
    loadRank: (world) => loadCudaRank(pkg, world, device, onKernel),
  };
}

function compiling(output: Output): (done: number, total: number) => void {
  return (done, total) => output.advance('compiling kernels', done, total);
}
