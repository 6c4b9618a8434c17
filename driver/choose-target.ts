/** Where programs run when nobody says: on a GPU where there is one, else in WebAssembly. */
import { availableParallelism } from 'node:os';
import { isUserError } from '../runtime/errors.ts';
import { type AdapterOptions, findGpu, openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';

/** Where kernels run. */
export type KernelTarget = 'wgsl' | 'wasm';

export interface Wanted {
  /** Chosen where it is undefined. */
  readonly target?: KernelTarget | undefined;
  /** Whoever names a kind of adapter wants WebGPU. */
  readonly adapter?: AdapterOptions['kind'] | undefined;
  /** Hears in a line what was chosen, where that is no GPU. */
  readonly report: (line: string) => void;
}

export interface Chosen {
  readonly target: KernelTarget;
  /** Of the target `wgsl`, and for what is too large for the other. */
  readonly open: () => Promise<OpenedDevice>;
  /** Whether a program that is too large for WebAssembly runs on a software adapter: nobody asked for it. */
  readonly mayFallBack: boolean;
  readonly report: (line: string) => void;
}

/** @throws UserError `no-device` when the device is opened */
export async function chooseTarget({ target, adapter = 'auto', report }: Wanted): Promise<Chosen> {
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
 * Does one of the two, as was chosen, or both: the second where the first says that the program does not fit,
 * and nobody asked for it.
 */
export async function onChosen<T>(
  { target, mayFallBack, report }: Omit<Chosen, 'open'>,
  ways: { readonly [K in KernelTarget]: () => Promise<T> },
): Promise<T> {
  if (target === 'wgsl') return ways.wgsl();
  try {
    return await ways.wasm();
  } catch (error) {
    if (!mayFallBack || !isUserError(error) || error.code !== 'exceeds-device') throw error;
    report(`${error.message}: running on a software adapter instead`);
    return ways.wgsl();
  }
}
