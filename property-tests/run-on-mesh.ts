/** The program of each device of a mesh, with whole inputs, as logical devices of one. */
import type { AnyManifest, Package, PtxPackage, WasmPackage } from '../compiler/plan/package.ts';
import { emulatorDevice } from '../runtime/cuda/emulator-device.ts';
import { loadCudaMesh, loadWasmMesh } from '../runtime/mesh/run-launch-mesh.ts';
import { loadMesh } from '../runtime/mesh/run-mesh.ts';
import type { Traffic } from '../runtime/mesh/traffic.ts';
import { runWhole } from '../runtime/mesh/whole-tensors.ts';
import type { OpenedDevice } from '../runtime/webgpu/device.ts';
import { inMemory } from '../runtime/weights/stored-tensor.ts';
import type { Tensors } from './run-entry.ts';

export interface MeshRun {
  readonly outputs: Tensors;
  readonly traffic: Traffic;
}

type Loaded = Awaited<ReturnType<typeof loadWasmMesh>>;

export async function runMeshOnWebGpu(pkg: Package, inputs: Tensors, opened: OpenedDevice): Promise<MeshRun> {
  return runLoaded(await loadMesh(pkg, opened), pkg.manifest, inputs);
}

export async function runMeshInWasm(pkg: WasmPackage, inputs: Tensors): Promise<MeshRun> {
  return runLoaded(await loadWasmMesh(pkg, { threads: 1 }), pkg.manifest, inputs);
}

/** In the emulator. */
export async function runMeshAsPtx(pkg: PtxPackage, inputs: Tensors): Promise<MeshRun> {
  const device = emulatorDevice();
  try {
    return await runLoaded(await loadCudaMesh(pkg, device), pkg.manifest, inputs);
  } finally {
    device.release();
  }
}

async function runLoaded(
  loaded: Pick<Loaded, 'mesh' | 'run' | 'traffic' | 'destroy'>,
  manifest: AnyManifest,
  inputs: Tensors,
): Promise<MeshRun> {
  try {
    const stored = new Map([...inputs].map(([path, tensor]) => [path, inMemory(tensor)]));
    return { outputs: await runWhole(loaded, manifest, stored), traffic: loaded.traffic };
  } finally {
    loaded.destroy();
  }
}
