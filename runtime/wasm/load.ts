/** Runs a package of WebAssembly on the processor, in Node. */
import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { kernelName } from '../../backends/wasm/emit.ts';
import type { LaunchStep, WasmPackage } from '../../compiler/plan/package.ts';
import { bytesText, packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { wasmMemory } from '../../compiler/plan/wasm-memory.ts';
import { isUserError, UserError } from '../errors.ts';
import { inputsToCome } from '../package-inputs.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import { checkFeatures } from './features.ts';
import { startThreads } from './threads.ts';

type Tensors = ReadonlyMap<string, TensorData>;

export interface LoadOptions {
  /** The caller's and others; all cores if not given. */
  readonly threads?: number;
}

/** A package in memory, ready to run: nothing is compiled or allocated after loading. */
export interface LoadedWasm {
  /** Bytes of memory that it holds. */
  readonly peakBytes: number;
  /** @throws UserError `wrong-input`. Inputs left out stay as last given. */
  readonly run: (inputs: Tensors) => Map<string, TensorData>;
  /** Takes inputs, and runs nothing. */
  readonly write: (inputs: Tensors) => void;
  /**
   * Runs on the inputs last given.
   * @throws UserError `device-refused` when a kernel traps, `device-lost` when a thread ends in one
   */
  readonly compute: () => void;
  /** The outputs of the last run. */
  readonly read: () => Map<string, TensorData>;
  readonly destroy: () => void;
}

/**
 * @throws UserError `exceeds-device` when it needs what is not here; `out-of-memory`; `malformed-file` when
 * the module is none that the manifest describes.
 */
export async function loadWasm(pkg: WasmPackage, options: LoadOptions = {}): Promise<LoadedWasm> {
  const { manifest } = pkg;
  const { threads: count = availableParallelism() } = options;
  checkFeatures(manifest);
  const { pointers, pages, bytes } = wasmMemory(manifest.slots);
  const module = await compileModule(pkg);
  const memory = allocate(pages, `${manifest.entry} takes ${bytesText(bytes)}`);
  const kernels = manifest.kernels.map(({ name }) => kernelName(name));
  const numbers = new Map(manifest.kernels.map(({ name }, number) => [name, number]));
  // More than there are workgroups would have nothing to do.
  const most = Math.max(1, ...manifest.kernels.map(({ groups }) => groups));
  const threads = startThreads(module, memory, kernels, Math.min(count, most) - 1);
  const contents = new Uint8Array(memory.buffer);
  const take = inputsToCome(manifest, (tensor: TensorData) => tensor);
  /** By slot, the first byte of what is in it now: loops swap them. */
  let places = pointers;

  const steps = (list: readonly LaunchStep[], held: number[], counters: Map<number, number>): void => {
    for (const step of list) {
      switch (step.kind) {
        case 'dispatch': {
          const number = numbers.get(step.kernel)!;
          const given = [
            ...step.slots.map((slot) => held[slot]!),
            ...step.counters.map((loop) => counters.get(loop)!),
          ];
          threads.run(number, manifest.kernels[number]!.groups, given);
          break;
        }
        case 'copy': {
          const from = held[step.from]!;
          const slice = step.sliceOf === undefined ? 0 : counters.get(step.sliceOf)! * step.bytes;
          contents.copyWithin(held[step.to]! + slice, from, from + step.bytes);
          break;
        }
        case 'loop':
          for (let at = 0; at < step.count; at++) {
            counters.set(step.loop, at);
            steps(step.steps, held, counters);
            for (const [first, second] of step.swaps)
              [held[first], held[second]] = [held[second]!, held[first]!];
          }
          break;
        case 'exchange':
          throw new Error('a package of WebAssembly is for no mesh');
      }
    }
  };

  const write = (inputs: Tensors): void =>
    take(inputs, ({ slot }, tensor) => contents.set(tensor.bytes, pointers[slot]!));
  const compute = (): void => {
    const held = [...pointers];
    try {
      steps(manifest.steps, held, new Map());
    } catch (error) {
      if (isUserError(error)) throw error;
      throw new UserError(
        'device-refused',
        `a run of ${manifest.entry} failed: ${(error as Error).message}`,
        'report this as a fault of the compiler; --target reference may serve meanwhile',
      );
    }
    places = held;
  };
  const read = (): Map<string, TensorData> =>
    new Map(
      manifest.outputs.map((output) => {
        const { path, dtype, shape, slot } = output;
        const start = places[slot]!;
        return [path, { dtype, shape, bytes: contents.slice(start, start + packedBytes(output)) }];
      }),
    );
  return {
    peakBytes: bytes,
    write,
    compute,
    read,
    run: (inputs) => {
      write(inputs);
      compute();
      return read();
    },
    destroy: threads.destroy,
  };
}

/**
 * V8 compiles what is called, and twice: first quickly to slow code. Kernels are few and run long, so that
 * the first is left out for as long as they are compiled.
 */
async function compileModule({ manifest, module }: WasmPackage): Promise<WebAssembly.Module> {
  for (const flag of ['--no-liftoff', '--no-wasm-lazy-compilation']) setFlagsFromString(flag);
  try {
    return await WebAssembly.compile(module);
  } catch (error) {
    throw new UserError(
      'malformed-file',
      `the kernels of ${manifest.entry} are no WebAssembly: ${(error as Error).message}`,
      'compile the package again',
    );
  } finally {
    for (const flag of ['--liftoff', '--wasm-lazy-compilation']) setFlagsFromString(flag);
  }
}

function allocate(pages: number, what: string): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (error) {
    throw new UserError(
      'out-of-memory',
      `${what}, and there is no room for it: ${(error as Error).message}`,
      'use smaller sizes, or give it more memory',
    );
  }
}
