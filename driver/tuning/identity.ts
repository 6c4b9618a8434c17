/** What a device is, as far as how fast a kernel runs on it may depend on it. */
import { availableParallelism, cpus } from 'node:os';
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

export function gpuIdentity({ name, capability, driver, multiprocessors }: Gpu): Identity {
  return {
    target: 'ptx',
    compiler: version,
    name,
    capability,
    driver: `CUDA ${driver}`,
    multiprocessors: String(multiprocessors),
  };
}
