/** Ricci itself. */
import { compileFor, compileWasm } from '../../driver/compile.ts';
import { wasmDeviceHere } from '../../runtime/wasm/features.ts';
import { loadWasm } from '../../runtime/wasm/load.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { openDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import { type TensorData, tensorValues } from '../../runtime/weights/tensor-data.ts';
import type { Prepared } from '../prepare.ts';
import type { Peer, Ready } from './peer.ts';

export async function ricciPeer(on: Peer['on'], prepared: Prepared): Promise<Peer> {
  return { on, prepare: () => (on === 'WebGPU' ? onWebGpu(prepared) : inWebAssembly(prepared)) };
}

async function onWebGpu({ lowered, instance, inputs }: Prepared): Promise<Ready> {
  const opened = await openDevice(await openAdapter());
  const loaded = await loadPackage(compileFor(lowered, instance, opened.profile).package, opened);
  await loaded.upload(inputs);
  return { how: 'WGSL', run: () => loaded.runOnDevice(), read: async () => first(await loaded.read()) };
}

async function inWebAssembly({ lowered, instance, inputs }: Prepared): Promise<Ready> {
  const loaded = await loadWasm(compileWasm(lowered, instance, wasmDeviceHere()).package);
  loaded.write(inputs);
  return { how: 'WebAssembly', run: async () => loaded.compute(), read: async () => first(loaded.read()) };
}

function first(outputs: ReadonlyMap<string, TensorData>): Float32Array {
  const [output] = outputs.values();
  return Float32Array.from(tensorValues(output!));
}
