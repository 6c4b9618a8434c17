/** All that is timed side by side. */
import type { Prepared } from '../prepare.ts';
import type { Peer } from './peer.ts';

interface Entrant {
  readonly on: Peer['on'];
  readonly open: (on: Peer['on'], prepared: Prepared) => Promise<Peer>;
}

// Each is loaded where it runs: some change what is global.
const ricci = async (on: Peer['on'], prepared: Prepared) =>
  (await import('./ricci.ts')).ricciPeer(on, prepared);
const jax = async (on: Peer['on']) => (await import('./jax.ts')).jaxPeer(on);
const onnxRuntime = async (on: Peer['on']) => (await import('./onnx-runtime.ts')).onnxRuntimePeer(on);

export const peers: Readonly<Record<string, Entrant>> = {
  'ricci-webgpu': { on: 'WebGPU', open: ricci },
  'jax-js-webgpu': { on: 'WebGPU', open: jax },
  'onnxruntime-webgpu': { on: 'WebGPU', open: onnxRuntime },
  'ricci-wasm': { on: 'WebAssembly', open: ricci },
  'jax-js-wasm': { on: 'WebAssembly', open: jax },
  'onnxruntime-wasm': { on: 'WebAssembly', open: onnxRuntime },
};

export function openPeer(name: string, prepared: Prepared): Promise<Peer> {
  const entrant = peers[name];
  if (entrant === undefined) throw new Error(`no peer ${name}; there are ${Object.keys(peers).join(', ')}`);
  return entrant.open(entrant.on, prepared);
}
