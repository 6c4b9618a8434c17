/**
 * A package of WebAssembly in one memory, of which each of some devices has a part: they share the kernels,
 * and the threads.
 */
import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { kernelName } from '../../backends/wasm/emit.ts';
import type { Sizes } from '../../compiler/graph/extent.ts';
import type { WasmPackage, WasmPackageKernel } from '../../compiler/plan/package.ts';
import { bytesText, elementBytes, packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { checkWasmMemory, wasmMemory } from '../../compiler/plan/wasm-memory.ts';
import { groupsAt } from '../../compiler/tiles/ends.ts';
import { isUserError, UserError } from '../errors.ts';
import type { Coordinate, OwnLaunch } from '../launch-device.ts';
import { inputsToCome } from '../package-inputs.ts';
import { runSizes, shapeAt } from '../run-sizes.ts';
import { copyBox } from '../weights/boxes.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import { checkFeatures } from './features.ts';
import { startThreads } from './threads.ts';

export interface WasmOptions {
  /** The caller's and others; all cores if not given. */
  readonly threads?: number;
}

export interface WasmDevice {
  /** @throws UserError `wrong-input`. Inputs left out stay as last given. */
  readonly write: (inputs: ReadonlyMap<string, TensorData>, sizes?: Sizes) => void;
  /** Done when it returns. */
  readonly perform: (launch: OwnLaunch) => void;
  /** The first bytes of a buffer: its memory, no copy. */
  readonly memoryOf: (buffer: number, bytes: number) => Uint8Array;
  /** @param finalBuffer as `walkSteps` says */
  readonly read: (finalBuffer: readonly number[]) => Map<string, TensorData>;
}

export interface WasmDevices {
  /** Of memory, all devices together. */
  readonly bytes: number;
  readonly devices: readonly WasmDevice[];
  readonly destroy: () => void;
}

/**
 * @param places of each device
 * @throws UserError `out-of-memory`; `exceeds-device` when a module cannot have that much memory, or needs
 * what the engine has not; `malformed-file` when the module is none that the manifest describes.
 */
export async function openWasm(
  pkg: WasmPackage,
  places: readonly Coordinate[],
  { threads: count = availableParallelism() }: WasmOptions,
): Promise<WasmDevices> {
  const { manifest } = pkg;
  const { entry, slots, scratchBytes = 0 } = manifest;
  checkFeatures(manifest);
  // More than there are workgroups would have nothing to do.
  const most = Math.max(1, ...manifest.kernels.map(({ groups }) => groups));
  const { pointers, scratch, pages, bytes } = wasmMemory(
    places.flatMap(() => slots),
    scratchBytes,
    Math.min(count, most),
  );
  const what = places.length === 1 ? entry : `${entry} on ${places.length} devices`;
  checkWasmMemory(what, bytes);
  const module = await compileModule(pkg);
  const memory = allocate(pages, `${what} takes ${bytesText(bytes)}`);
  const kernels = manifest.kernels.map(({ name }) => kernelName(name));
  const numbers = new Map(manifest.kernels.map(({ name }, number) => [name, number]));
  const threads = startThreads(module, memory, kernels, scratch);
  const contents = new Uint8Array(memory.buffer);

  const deviceAt = (coordinate: Coordinate, number: number): WasmDevice => {
    const own = pointers.slice(number * slots.length, (number + 1) * slots.length);
    const sizes = runSizes(manifest);
    const place = (name: string) => sizes.current().get(name) ?? coordinate(name);
    const take = inputsToCome(manifest, sizes, (tensor: TensorData) => tensor);
    return {
      write: (inputs, said) =>
        take(
          inputs,
          ({ slot, shape, dtype }, tensor) => {
            const room = contents.subarray(own[slot]!);
            copyBox(tensor.bytes, tensor.shape, room, shape, elementBytes(dtype));
          },
          said,
        ),
      perform: (launch) => {
        if (launch.kind === 'copy') {
          const from = own[launch.from]!;
          contents.copyWithin(own[launch.to]! + launch.toByte, from, from + launch.bytes);
          return;
        }
        const kernel = numbers.get(launch.kernel)!;
        const buffers = launch.buffers.map((buffer) => own[buffer]!);
        const { groups, given } = launchAt(manifest.kernels[kernel]!, place, sizes.current());
        if (groups > 0) threads.run(kernel, groups, [...buffers, ...launch.counters, ...given]);
      },
      memoryOf: (buffer, length) => contents.subarray(own[buffer]!, own[buffer]! + length),
      read: (finalBuffer) =>
        new Map(
          manifest.outputs.map((output) => {
            const { path, dtype, slot } = output;
            const shape = shapeAt(output, sizes.current());
            const bytes = new Uint8Array(packedBytes({ dtype, shape }));
            const room = contents.subarray(own[finalBuffer[slot]!]!);
            copyBox(room, output.shape, bytes, shape, elementBytes(dtype));
            return [path, { dtype, shape, bytes }];
          }),
        ),
    };
  };
  return { bytes, devices: places.map(deviceAt), destroy: threads.destroy };
}

/** How many workgroups of a kernel a run has, and what it is given of where it runs and of the sizes. */
function launchAt(
  { groups, axes, coordinates = [] }: WasmPackageKernel,
  place: (name: string) => number,
  sizes: Sizes,
): { readonly groups: number; readonly given: readonly number[] } {
  const named = coordinates.map(place);
  if (axes === undefined) return { groups, given: named };
  const along = axes.groups.map((most, axis) => groupsAt(most, axes.ends[axis] ?? undefined, sizes));
  return {
    groups: along.reduce((total, count) => total * count, 1),
    given: [...named, ...along.filter((_, axis) => axes.ends[axis] !== null)],
  };
}

/** @throws UserError `device-refused` when a kernel traps in it, `device-lost` when a thread ends in one. */
export function running<T>(entry: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (isUserError(error)) throw error;
    throw new UserError(
      'device-refused',
      `a run of ${entry} failed: ${(error as Error).message}`,
      'report this as a fault of the compiler; --target reference may serve meanwhile',
    );
  }
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
