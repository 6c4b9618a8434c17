/** Where programs run when nobody says: on a GPU where there is one, else in WebAssembly. */
import { availableParallelism } from 'node:os';
import { isUserError } from '../runtime/errors.ts';
import { type AdapterOptions, findGpu, openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';

/** Where kernels run. */
export type KernelTarget = 'wgsl' | 'wasm' | 'ptx';

/** Where they may run when nobody says. */
export type FoundTarget = 'wgsl' | 'wasm';

export interface Wanted<T extends KernelTarget> {
  /** Chosen where it is undefined. */
  readonly target?: T | undefined;
  /** Whoever names a kind of adapter wants WebGPU. */
  readonly adapter?: AdapterOptions['kind'] | undefined;
  /** Hears in a line what was chosen, where that is no GPU. */
  readonly report: (line: string) => void;
}

export interface Chosen<T extends KernelTarget = FoundTarget> {
  readonly target: T | FoundTarget;
  /** Of the target `wgsl`, and for what is too large for the other. */
  readonly open: () => Promise<OpenedDevice>;
  /** Whether a program that is too large for WebAssembly runs on a software adapter: nobody asked for it. */
  readonly mayFallBack: boolean;
  readonly report: (line: string) => void;
}

/** @throws UserError `no-device` when the device is opened */
export async function chooseTarget<T extends KernelTarget = FoundTarget>({
  target,
  adapter = 'auto',
  report,
}: Wanted<T>): Promise<Chosen<T>> {
  const open = async () => openDevice(await openAdapter({ kind: adapter, report }));
  if (target !== undefined || adapter !== 'auto')
    return { target: target ?? 'wgsl', open, mayFallBack: false, report };
  const gpu = await findGpu(report);
  if (gpu !== undefined) return { target: 'wgsl', open: reopening(gpu, open), mayFallBack: false, report };
  const threads = availableParallelism();
  report(
    `no GPU driver found: running in WebAssembly on ${threads === 1 ? '1 thread' : `${threads} threads`}`,
  );
  return { target: 'wasm', open, mayFallBack: true, report };
}

/** An adapter gives one device: those after the first take another. */
function reopening(adapter: GPUAdapter, again: () => Promise<OpenedDevice>): () => Promise<OpenedDevice> {
  let first: GPUAdapter | undefined = adapter;
  return () => {
    const own = first;
    first = undefined;
    return own === undefined ? again() : openDevice(own);
  };
}

/**
 * Does what was chosen; where that is WebAssembly, which says that the program does not fit, and nobody asked
 * for it, WebGPU too.
 */
export async function onChosen<T extends KernelTarget, R>(
  { target, mayFallBack, report }: Omit<Chosen<T>, 'open'>,
  ways: { readonly [K in T | FoundTarget]: () => Promise<R> },
): Promise<R> {
  try {
    return await ways[target]();
  } catch (error) {
    if (!mayFallBack || !isUserError(error) || error.code !== 'exceeds-device') throw error;
    report(`${error.message}: running on a software adapter instead`);
    return ways.wgsl();
  }
}
