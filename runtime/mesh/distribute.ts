/** Whole tensors to what each device of a mesh holds of them, and back. */
import { allCoordinates, blockNumber, type Coordinates } from '../../compiler/partition/blocks.ts';
import { groupsAlong } from '../../compiler/partition/devices.ts';
import { elementBytes, elementCount, packedBytes, typeText } from '../../compiler/plan/storage-bytes.ts';
import {
  devicesAlong,
  type Mesh,
  type PendingCombiner,
  type Placement,
  showList,
} from '../../dsl/placement/placement.ts';
import { UserError } from '../errors.ts';
import { inMemory, type Run, type StoredTensor } from '../weights/stored-tensor.ts';
import { checkTensorBytes, type TensorData, tensorFromValues, tensorValues } from '../weights/tensor-data.ts';

/**
 * The shape of a device's block.
 * @throws UserError `wrong-input` where a dimension does not come apart into equal blocks. `what` is its
 * subject: `the input x`.
 */
export function blockShape(
  what: string,
  shape: readonly number[],
  { dims }: Placement,
  mesh: Mesh,
): readonly number[] {
  return shape.map((extent, dim) => {
    const list = dims[dim] ?? [];
    const blocks = devicesAlong(mesh, list);
    if (extent % blocks === 0) return extent / blocks;
    throw new UserError(
      'wrong-input',
      `dimension ${dim} of ${what}, of ${extent}, is cut ${showList(list)} into ${blocks} equal blocks`,
      `give a multiple of ${blocks}`,
    );
  });
}

/**
 * What each device holds of a tensor, in the order of their numbers.
 * @param block as of `blockOf`
 * @throws UserError `wrong-input` where a dimension does not come apart into equal blocks
 */
export function distribute(
  what: string,
  tensor: TensorData,
  placement: Placement,
  mesh: Mesh,
  block?: readonly number[],
): readonly TensorData[] {
  return allCoordinates(mesh).map((coordinates) =>
    blockOf(what, tensor, placement, mesh, coordinates, block),
  );
}

/**
 * What one device holds of a tensor. Of one that is pending a sum, the first device along the axes holds the
 * value and the others zeros; pending a maximum or minimum, all hold it.
 * @param padded the shape of a block, where all of them together are larger than the tensor: behind its end
 * they hold zeros
 * @throws UserError `wrong-input` where a dimension does not come apart into equal blocks, and it is not said
 * how large they are
 */
export function blockOf(
  what: string,
  tensor: TensorData,
  placement: Placement,
  mesh: Mesh,
  coordinates: Coordinates,
  padded?: readonly number[],
): TensorData {
  checkTensorBytes(what, tensor);
  return readBlock(what, inMemory(tensor), placement, mesh, coordinates, padded);
}

/**
 * As `blockOf`, of a tensor that need not be in memory: no other elements of it are read.
 * @throws UserError `wrong-input` where a dimension does not come apart into equal blocks; as `readPart`
 */
export function readBlock(
  what: string,
  tensor: StoredTensor,
  placement: Placement,
  mesh: Mesh,
  coordinates: Coordinates,
  padded?: readonly number[],
): TensorData {
  const { dtype } = tensor;
  const shape = padded ?? blockShape(what, tensor.shape, placement, mesh);
  if (!holdsValue(placement, mesh, coordinates))
    return { dtype, shape, bytes: new Uint8Array(packedBytes({ dtype, shape })) };
  return tensor.readPart({ shape, runs: runsOf(tensor.shape, shape, placement, mesh, coordinates) });
}

/**
 * Which block `readBlock` gives a device, the same text where it is the same block: `block 0 1`, its number
 * in each dimension; undefined for all of the tensor.
 */
export function blockName(placement: Placement, mesh: Mesh, coordinates: Coordinates): string | undefined {
  if (!holdsValue(placement, mesh, coordinates)) return 'zeros';
  if (devicesAlong(mesh, placement.dims.flat()) === 1) return undefined;
  return `block ${placement.dims.map((list) => blockNumber(list, coordinates, mesh)).join(' ')}`;
}

/** Of a pending sum the first device along its axes does, the others hold zeros. */
function holdsValue({ pending }: Placement, mesh: Mesh, coordinates: Coordinates): boolean {
  const summed = [...pending].flatMap(([axis, combiner]) => (combiner === 'sum' ? [axis] : []));
  return blockNumber(summed, coordinates, mesh) === 0;
}

/**
 * The tensor of which the devices hold these blocks. What is pending is combined in order of rank, in
 * float64, and rounded.
 * @param whole the shape of the tensor, where all blocks together are larger: what is behind its end is left
 * out
 * @throws UserError `replicas-differ`, naming the first element that devices along axes which nothing
 * mentions do not hold the same bits of
 */
export function assemble(
  what: string,
  blocks: readonly TensorData[],
  placement: Placement,
  mesh: Mesh,
  whole?: readonly number[],
): TensorData {
  checkReplicas(what, blocks, placement, mesh);
  const final = combinePending(blocks, placement, mesh);
  const { dtype, shape } = final[0]!;
  const tensor = {
    dtype,
    shape: whole ?? shape.map((extent, dim) => extent * devicesAlong(mesh, placement.dims[dim] ?? [])),
  };
  const bytes = new Uint8Array(packedBytes(tensor));
  const coordinates = allCoordinates(mesh);
  const size = elementBytes(dtype);
  for (const [device, block] of final.entries())
    for (const { whole, own, length } of runsOf(tensor.shape, shape, placement, mesh, coordinates[device]!))
      bytes.set(block.bytes.subarray(own * size, (own + length) * size), whole * size);
  return { ...tensor, bytes };
}

/**
 * Of which runs of elements of a whole tensor a device's block consists. Blocks may reach over the end of the
 * tensor: of what is behind it there are no runs.
 * @param block the shape of a block
 */
export function* runsOf(
  shape: readonly number[],
  block: readonly number[],
  { dims }: Placement,
  mesh: Mesh,
  coordinates: Coordinates,
): Generator<Run> {
  const first = shape.map((_, dim) => blockNumber(dims[dim] ?? [], coordinates, mesh) * block[dim]!);
  /** How much of each dimension of the block is within the tensor. */
  const held = shape.map((extent, dim) => Math.min(block[dim]!, extent - first[dim]!));
  if (held.some((extent) => extent <= 0)) return;
  // Dimensions behind the last that is not held whole lie together, and with them the part along that one.
  const cut = shape.findLastIndex((extent, dim) => extent !== held[dim] || extent !== block[dim]);
  const last = Math.max(0, cut);
  const outer = held.slice(0, last);
  const length = elementCount(held.slice(last));
  const index = outer.map(() => 0);
  const flat = (extents: readonly number[], start: readonly number[]): number =>
    extents.reduce((place, extent, dim) => place * extent + start[dim]! + (index[dim] ?? 0), 0);
  const zeros = shape.map(() => 0);
  for (let run = 0; run < elementCount(outer); run++) {
    yield { whole: flat(shape, first), own: flat(block, zeros), length };
    for (let dim = outer.length - 1; dim >= 0 && ++index[dim]! === outer[dim]; dim--) index[dim] = 0;
  }
}

function checkReplicas(
  what: string,
  blocks: readonly TensorData[],
  { dims, pending }: Placement,
  mesh: Mesh,
): void {
  const used = new Set([...dims.flat(), ...pending.keys()]);
  const free = mesh.axes.map(({ name }) => name).filter((name) => !used.has(name));
  for (const [first, ...others] of groupsAlong(free, mesh))
    for (const other of others) {
      const [left, right] = [blocks[first!]!, blocks[other]!];
      const byte = left.bytes.findIndex((value, at) => value !== right.bytes[at]);
      if (byte < 0 && left.bytes.length === right.bytes.length) continue;
      throw replicasDiffer(
        what,
        mesh,
        { device: first!, block: left },
        { device: other, block: right },
        byte,
      );
    }
}

interface Held {
  readonly device: number;
  readonly block: TensorData;
}

function replicasDiffer(what: string, mesh: Mesh, left: Held, right: Held, byte: number): UserError {
  const element = Math.floor(Math.max(0, byte) / elementBytes(left.block.dtype));
  const holds = ({ device, block }: Held) => {
    const own = allCoordinates(mesh)[device]!;
    const at = mesh.axes.map(({ name }, axis) => `${name}=${own[axis]}`).join(', ');
    return `the device at ${at} has ${valueText(tensorValues(block)[element])}`;
  };
  const type = typeText(left.block);
  return new UserError(
    'replicas-differ',
    `devices do not agree on ${what}: at element ${element} of ${type}, ${holds(left)} and ${holds(right)}`,
    'this is a fault of the compiler or of the driver: please report it; --target reference still runs it',
  );
}

function valueText(value: number | undefined): string {
  return Object.is(value, -0) ? '-0' : `${value}`;
}

function combinePending(
  blocks: readonly TensorData[],
  { pending }: Placement,
  mesh: Mesh,
): readonly TensorData[] {
  let values = blocks.map((block) => block);
  for (const [axis, combiner] of pending) {
    const combined = [...values];
    for (const group of groupsAlong([axis], mesh)) {
      const total = combine(
        group.map((device) => values[device]!),
        combiner,
      );
      for (const device of group) combined[device] = total;
    }
    values = combined;
  }
  return values;
}

const combinations: { readonly [C in PendingCombiner]: (left: number, right: number) => number } = {
  sum: (left, right) => left + right,
  max: Math.max,
  min: Math.min,
};

function combine(blocks: readonly TensorData[], combiner: PendingCombiner): TensorData {
  const { dtype, shape } = blocks[0]!;
  const total = blocks
    .map(tensorValues)
    .reduce((left, right) => left.map((value, at) => combinations[combiner](value, right[at]!)));
  return tensorFromValues(dtype, shape, total);
}
