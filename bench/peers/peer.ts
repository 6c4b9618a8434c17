/** What is timed: a runtime of others, or Ricci, on one workload. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../driver/package-root.ts';

/** A dense row-major tensor of f32. */
export interface Dense {
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}

/** A workload of `bench/cases.ts` by its entry, with its inputs by name, laid out as in `bench/cases.ricci`. */
export interface Problem {
  readonly entry: 'matmul' | 'softmax_rows' | 'causal' | 'experts';
  readonly inputs: ReadonlyMap<string, Dense>;
}

/** Inputs are where the peer wants them, and everything is compiled. */
export interface Ready {
  /** How it is computed, for people. */
  readonly how: string;
  /** One run, over when it is awaited; its result stays where it is. */
  readonly run: () => Promise<void>;
  /** The result of the last run. */
  readonly read: () => Promise<Float32Array>;
}

export interface Peer {
  readonly on: 'WebGPU' | 'WebAssembly';
  /** @throws where it cannot compute that */
  readonly prepare: (problem: Problem) => Promise<Ready>;
}

/** Where the packages of peers are installed: `npm run bench:peers` does. */
export const peersFolder = join(packageRoot, 'bench/peers');

const fromPeers = createRequire(join(peersFolder, 'package.json'));

/** A module that peers bring, by the name under which they would import it. */
export function importPeer(name: string): Promise<unknown> {
  return import(pathToFileURL(fromPeers.resolve(name)).href);
}

/** A file of a package that peers bring. */
export function peerFile(packageName: string, file: string): string {
  return pathToFileURL(join(peersFolder, 'node_modules', packageName, file)).href;
}

export function input({ inputs }: Problem, name: string): Dense {
  const found = inputs.get(name);
  if (found === undefined) throw new Error(`a workload without ${name}`);
  return found;
}
