/** Running on a mesh with whole tensors: cut as the package says where they live, and put together again. */
import { allCoordinates, type Coordinates } from '../../compiler/partition/blocks.ts';
import type { AnyManifest, PackageInput, PackageTensor } from '../../compiler/plan/package.ts';
import { typeText } from '../../compiler/plan/storage-bytes.ts';
import { devicesAlong, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import { UserError } from '../errors.ts';
import type { Tensors } from '../webgpu/execute.ts';
import { inMemory, type StoredTensor } from '../weights/stored-tensor.ts';
import { checkIndices, type TensorData } from '../weights/tensor-data.ts';
import { tensorsDigest } from '../weights/tensors-digest.ts';
import type { Communicator } from './communicator.ts';
import { assemble, blockName, readBlock } from './distribute.ts';
import type { LoadedRank } from './loaded-rank.ts';
import { coordinatesOf } from './mesh-groups.ts';
import type { LoadedLaunchMesh } from './run-launch-mesh.ts';

/** What a tensor of a package is before it is cut. */
export function wholeType({ mesh }: AnyManifest, tensor: PackageTensor): Pick<TensorData, 'dtype' | 'shape'> {
  const { dims } = placementOf(tensor);
  const shape =
    tensor.whole ??
    tensor.shape.map((extent, dim) => extent * devicesAlong(mesh ?? { axes: [] }, dims[dim] ?? []));
  return { dtype: tensor.dtype, shape };
}

/** Whole tensors by path, in files or in memory. */
type StoredTensors = ReadonlyMap<string, StoredTensor>;

/**
 * Runs on a mesh in this process. Devices that hold the same block share it.
 * @throws UserError `wrong-input` when an input is not of its type, `replicas-differ` when devices do not
 * agree on an output; and as `run`
 */
export async function runWhole(
  loaded: Pick<LoadedLaunchMesh, 'mesh' | 'run'>,
  manifest: AnyManifest,
  inputs: StoredTensors,
): Promise<Map<string, TensorData>> {
  const blocks = blocksOf(manifest, inputs, loaded.mesh, allCoordinates(loaded.mesh));
  return assembleOutputs(manifest, await loaded.run(blocks), loaded.mesh);
}

/**
 * What a rank holds of the inputs: no more of them is read.
 * @throws UserError `wrong-input` when an input is not of its type; as `readPart`
 */
export function blocksOfRank(
  { mesh }: LoadedRank,
  manifest: AnyManifest,
  inputs: StoredTensors,
  rank: number,
): Tensors {
  return blocksOf(manifest, inputs, mesh, [coordinatesOf(mesh, rank)])[0]!;
}

/**
 * What must be the same on all ranks that have it: the bytes of a block, by the input and the block's name.
 * Of blocks that no two ranks have, nothing can be said.
 */
export function sharedBlocks(
  { mesh }: LoadedRank,
  manifest: AnyManifest,
  blocks: Tensors,
  rank: number,
): ReadonlyMap<string, string> {
  const coordinates = coordinatesOf(mesh, rank);
  return new Map(
    manifest.inputs.map((input) => {
      const name = blockName(placementOf(input), mesh, coordinates);
      const digest = tensorsDigest(new Map([[input.path, blocks.get(input.path)!]]));
      return [inputName(input.path, name), digest] as const;
    }),
  );
}

/**
 * Collective: each rank gives its blocks, and runs its part. Rank 0 gets the whole outputs.
 * @throws UserError as `runWhole`, on the rank where it shows; the others then wait, until they are told
 */
export async function runBlocksOnRank(
  loaded: LoadedRank,
  manifest: AnyManifest,
  blocks: Tensors,
  world: Communicator,
): Promise<Map<string, TensorData> | undefined> {
  const gathered = await gatherBlocks(manifest, await loaded.run(blocks), world);
  return world.rank === 0 ? assembleOutputs(manifest, gathered, loaded.mesh) : undefined;
}

/** What each rank holds of the outputs. */
async function gatherBlocks(
  manifest: AnyManifest,
  own: Tensors,
  world: Communicator,
): Promise<readonly Tensors[]> {
  const devices = Array.from({ length: world.size }, () => new Map<string, TensorData>());
  for (const { path } of manifest.outputs) {
    const { dtype, shape, bytes } = own.get(path)!;
    const all = new Uint8Array(bytes.byteLength * world.size);
    await world.exchange({ verb: 'all_gather', dtype }, bytes, all);
    for (const [rank, device] of devices.entries()) {
      const block = all.subarray(rank * bytes.byteLength, (rank + 1) * bytes.byteLength);
      device.set(path, { dtype, shape, bytes: block });
    }
  }
  return devices;
}

/**
 * Of devices with these coordinates. One input after the other, so that no more than one of those is whole
 * that cannot be read in parts.
 */
function blocksOf(
  manifest: AnyManifest,
  inputs: StoredTensors,
  mesh: Mesh,
  devices: readonly Coordinates[],
): readonly Tensors[] {
  const known = new Map(manifest.inputs.map((input) => [input.path, input]));
  const blocks = devices.map(() => new Map<string, TensorData>());
  for (const [path, stored] of inputs) {
    const input = known.get(path);
    checkWhole(manifest, path, stored, input);
    const tensor = stored.inParts ? stored : inMemory(stored.read());
    const placement = placementOf(input);
    const read = new Map<string | undefined, TensorData>();
    for (const [device, coordinates] of devices.entries()) {
      const name = blockName(placement, mesh, coordinates);
      const block =
        read.get(name) ?? readBlock(`the input ${path}`, tensor, placement, mesh, coordinates, input.shape);
      if (input.below !== undefined && !read.has(name))
        checkIndices(`the ${inputName(path, name)}`, block, input.below);
      read.set(name, block);
      blocks[device]!.set(path, block);
    }
  }
  return blocks;
}

/** `input x`, or that and which block of it. */
function inputName(path: string, block: string | undefined): string {
  return `input ${path}${block === undefined ? '' : ` (${block})`}`;
}

function assembleOutputs(
  manifest: AnyManifest,
  devices: readonly Tensors[],
  mesh: Mesh,
): Map<string, TensorData> {
  return new Map(
    manifest.outputs.map((output) => {
      const blocks = devices.map((ofDevice) => ofDevice.get(output.path)!);
      return [output.path, assemble(output.path, blocks, placementOf(output), mesh, output.whole)];
    }),
  );
}

/** Where a package says nothing, each device holds the whole. */
function placementOf({ shape, placement }: PackageTensor): Placement {
  return {
    dims: placement?.dims ?? shape.map(() => []),
    pending: new Map(placement?.pending.map(({ axis, combiner }) => [axis, combiner])),
  };
}

function checkWhole(
  manifest: AnyManifest,
  path: string,
  tensor: Pick<TensorData, 'dtype' | 'shape'>,
  input: PackageInput | undefined,
): asserts input is PackageInput {
  if (input === undefined)
    throw new UserError('wrong-input', `there is no input ${path}`, 'leave it out, or correct its name');
  const whole = wholeType(manifest, input);
  if (tensor.dtype === whole.dtype && `${tensor.shape}` === `${whole.shape}`) return;
  throw new UserError(
    'wrong-input',
    `the input ${path} is ${typeText(tensor)}, and ${typeText(whole)} is expected`,
    'give it as the entry declares it, or compile for these sizes',
  );
}
