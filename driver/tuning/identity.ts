/** What a device is, as far as how fast a kernel runs on it may depend on it. */
import { availableParallelism, cpus } from 'node:os';
import type { PtxTarget } from '../../compiler/tiles/ptx-target.ts';
import type { CudaDevice } from '../../runtime/cuda/device.ts';
import type { Gpu } from '../../runtime/cuda/driver/choose-gpu.ts';
import { wasmFeatures } from '../../runtime/wasm/features.ts';
import type { OpenedDevice } from '../../runtime/webgpu/device.ts';
import { version } from '../version.ts';
import type { Identity } from './tuning-file.ts';

export function adapterIdentity({ device, profile, description }: OpenedDevice): Identity {
  const { name, ...limits } = profile;
  const { vendor = '', architecture = '', device: model = '' } = device.adapterInfo ?? {};
  return {
    target: 'wgsl',
    compiler: version,
    name,
    adapter: [vendor, architecture, model].filter((part) => part !== '').join(' '),
    driver: description,
    features: [...device.features].sort().join(' '),
    limits: JSON.stringify(limits),
  };
}

export function processorIdentity(): Identity {
  return {
    target: 'wasm',
    compiler: version,
    name: cpus()[0]?.model ?? 'processor',
    engine: `V8 ${process.versions.v8}`,
    features: [...wasmFeatures()].sort().join(' '),
    threads: String(availableParallelism()),
  };
}

export function gpuIdentity({ name, target, capability, driver, multiprocessors }: Gpu): Identity {
  return {
    ...packageIdentity(target),
    name,
    capability,
    driver: `CUDA ${driver}`,
    multiprocessors: String(multiprocessors),
  };
}

/** What is known of where a package of PTX will run. */
export function packageIdentity(arch: PtxTarget): Identity {
  return { target: 'ptx', compiler: version, arch };
}

/** The emulator is as fast as nothing: what it runs is what would run on a GPU of its target. */
export function cudaIdentity({ gpu, target }: Pick<CudaDevice, 'gpu' | 'target'>): Identity {
  return gpu === undefined ? packageIdentity(target) : gpuIdentity(gpu);
}
