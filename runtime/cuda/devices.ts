/** A package of PTX on a device, of which each of some logical devices has a part: they share the kernels. */
import type { Sizes } from '../../compiler/graph/extent.ts';
import type { PackageMap, PtxPackage, PtxPackageKernel } from '../../compiler/plan/package.ts';
import { elementBytes, packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { groupsAt } from '../../compiler/tiles/ends.ts';
import { UserError } from '../errors.ts';
import type { Coordinate, LaunchDevice, LaunchDevices } from '../launch-device.ts';
import { inputsToCome } from '../package-inputs.ts';
import { type Ended, runSizes, shapeAt } from '../run-sizes.ts';
import { copyBox, isPrefix } from '../weights/boxes.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { CudaDevice } from './device.ts';

/**
 * @param places of each logical device
 * @param progress hears how many kernels are compiled, of how many
 * @throws UserError `exceeds-device` when it is not for such a device, `out-of-memory`, `device-refused` when
 * the device refuses the module
 */
export function openCuda(
  pkg: PtxPackage,
  places: readonly Coordinate[],
  device: CudaDevice,
  progress: (done: number, total: number) => void = () => undefined,
): LaunchDevices {
  const { manifest } = pkg;
  checkArch(pkg, device);
  const module = device.load(pkg.module, progress);
  const allocated: bigint[] = [];
  const destroy = () => {
    for (const address of allocated) device.free(address);
    module.unload();
  };
  const names = slotNames(pkg);
  const allocate = (bytes: number, slot: number): bigint => {
    const address = device.allocate(bytes, names.get(slot) ?? `slot ${slot}`);
    allocated.push(address);
    // What lies behind the ends of tensors is read, and not used: it must be there.
    if (manifest.bounded !== undefined) device.clear(address, bytes);
    return address;
  };
  /** By what it says: kernels get the address of one. */
  const known = new Map<string, bigint>();
  const mapAt = ({ buffer: _, ...map }: PackageMap, address: bigint): bigint => {
    const key = `${address} ${JSON.stringify(map)}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const bytes = device.tensorMap({ ...map, address });
    const made = device.allocate(bytes.byteLength, 'a tensor map');
    allocated.push(made);
    device.write(made, bytes);
    known.set(key, made);
    return made;
  };
  const kernelsOf = () =>
    new Map(manifest.kernels.map((kernel) => [kernel.name, { kernel, loaded: module.kernel(kernel.name) }]));

  const deviceAt = (coordinate: Coordinate, kernels: ReturnType<typeof kernelsOf>): LaunchDevice => {
    const slots = manifest.slots.map(({ bytes }, slot) => allocate(bytes, slot));
    const sizes = runSizes(manifest);
    const take = inputsToCome(manifest, sizes, (tensor: TensorData) => tensor);
    const inputSlots = new Set(manifest.inputs.map(({ slot }) => slot));
    const computed = manifest.slots.flatMap((slot, at) => (inputSlots.has(at) ? [] : [{ ...slot, at }]));
    const { forget } = device;
    const place = (name: string) => sizes.current().get(name) ?? coordinate(name);
    return {
      write: (inputs, said) =>
        take(inputs, (input, tensor) => device.write(slots[input.slot]!, inRoom(tensor, input)), said),
      ...(forget && {
        begin: () => {
          // What lies behind the ends of tensors is from runs before.
          const mayBeRead = manifest.bounded !== undefined;
          for (const { at, bytes } of computed) forget(slots[at]!, bytes, mayBeRead);
        },
      }),
      perform: (launch) => {
        if (launch.kind === 'copy') {
          device.copy(slots[launch.from]!, slots[launch.to]! + BigInt(launch.toByte), launch.bytes);
          return;
        }
        const { kernel, loaded } = kernels.get(launch.kernel)!;
        const grid = gridAt(kernel, sizes.current());
        if (grid.includes(0)) return;
        const { block, sharedBytes, coordinates = [], maps = [] } = kernel;
        const tensors = launch.buffers.map((buffer) => slots[buffer]!);
        const addresses = [...tensors, ...maps.map((map) => mapAt(map, tensors[map.buffer]!))];
        const words = [...launch.counters, ...coordinates.map(place)];
        loaded.launch({ grid, block, sharedBytes }, parametersOf(addresses, words));
      },
      finish: device.synchronize,
      sent: (buffer, bytes) => device.read(slots[buffer]!, bytes),
      arriving: (buffer, bytes) => {
        const room = new Uint8Array(bytes);
        return { room, done: () => device.write(slots[buffer]!, room) };
      },
      address: (buffer) => slots[buffer]!,
      read: async (finalBuffer) => {
        const outputs = new Map<string, TensorData>();
        for (const output of manifest.outputs) {
          const { path, dtype, slot } = output;
          const shape = shapeAt(output, sizes.current());
          const from = slots[finalBuffer[slot]!]!;
          const bytes = await boxOf(output, shape, (wanted) => device.read(from, wanted));
          if (device.unwritten !== undefined) {
            const { unwritten } = device;
            checkComputed(
              path,
              { dtype, shape },
              await boxOf(output, shape, (wanted) => unwritten(from, wanted)),
            );
          }
          outputs.set(path, { dtype, shape, bytes });
        }
        return outputs;
      },
    };
  };
  try {
    const kernels = kernelsOf();
    const devices = places.map((place) => deviceAt(place, kernels));
    return { bytes: manifest.peakBytes * places.length, devices, destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** Those of inputs and outputs, as the program calls them. */
function slotNames({ manifest: { inputs, outputs } }: PtxPackage): ReadonlyMap<number, string> {
  return new Map([...outputs, ...inputs].map(({ slot, path }) => [slot, path]));
}

function checkArch({ manifest: { entry, arch } }: PtxPackage, { name, target }: CudaDevice): void {
  if (arch === target || arch === 'sm_80') return;
  throw new UserError(
    'exceeds-device',
    `${entry} was compiled for ${arch}, and ${name} runs ${target}`,
    `compile it with --arch ${target}`,
  );
}

/** @throws UserError `kernel-fault` where `unwritten` says so of a byte of an element */
function checkComputed(
  path: string,
  { dtype, shape }: Pick<TensorData, 'dtype' | 'shape'>,
  unwritten: Uint8Array,
): void {
  const count = shape.reduce((product, extent) => product * extent, 1);
  const first = unwritten.subarray(0, count * elementBytes(dtype)).indexOf(1);
  if (first < 0) return;
  const indices: number[] = [];
  for (let axis = shape.length - 1, rest = Math.floor(first / elementBytes(dtype)); axis >= 0; axis--) {
    indices.unshift(rest % shape[axis]!);
    rest = Math.floor(rest / shape[axis]!);
  }
  throw new UserError(
    'kernel-fault',
    `no kernel of this run has written ${path}[${indices.join(', ')}]`,
    'report this as a fault of the compiler; --target reference may serve meanwhile',
  );
}

/** What a tensor has of the room that there is for the largest. */
async function boxOf(
  { dtype, shape: room }: Ended & Pick<TensorData, 'dtype'>,
  shape: readonly number[],
  read: (bytes: number) => Uint8Array | Promise<Uint8Array>,
): Promise<Uint8Array> {
  const needed = packedBytes({ dtype, shape });
  if (needed === 0) return new Uint8Array(0);
  if (isPrefix(shape, room)) return read(needed);
  const bytes = new Uint8Array(needed);
  copyBox(await read(packedBytes({ dtype, shape: room })), room, bytes, shape, elementBytes(dtype));
  return bytes;
}

/** As it lies where there is room for the largest; whatever is behind its ends nobody looks at. */
function inRoom(tensor: TensorData, { shape: room }: Ended): Uint8Array {
  const { dtype, shape, bytes } = tensor;
  if (isPrefix(shape, room)) return bytes;
  const whole = new Uint8Array(packedBytes({ dtype, shape: room }));
  copyBox(bytes, shape, whole, room, elementBytes(dtype));
  return whole;
}

function gridAt({ grid, gridEnds }: PtxPackageKernel, sizes: Sizes): [number, number, number] {
  const [x, y, z] = grid.map((most, axis) => groupsAt(most, gridEnds?.[axis] ?? undefined, sizes));
  return [x!, y!, z!];
}

/** Addresses, then words: each begins at a multiple of its size. */
function parametersOf(addresses: readonly bigint[], words: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * addresses.length + 4 * words.length));
  for (const [at, address] of addresses.entries()) view.setBigUint64(8 * at, address, true);
  for (const [at, word] of words.entries()) view.setUint32(8 * addresses.length + 4 * at, word, true);
  return new Uint8Array(view.buffer);
}
