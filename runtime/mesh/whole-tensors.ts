/** Running on a mesh with whole tensors: cut as the package says where they live, and put together again. */
import { allCoordinates, type Coordinates } from '../../compiler/partition/blocks.ts';
import type { Manifest, PackageInput, PackageTensor } from '../../compiler/plan/package.ts';
import { typeText } from '../../compiler/plan/storage-bytes.ts';
import { devicesAlong, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import { UserError } from '../errors.ts';
import type { Tensors } from '../webgpu/execute.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { Communicator } from './communicator.ts';
import { assemble, blockOf } from './distribute.ts';
import { coordinatesOf } from './mesh-groups.ts';
import type { LoadedMesh } from './run-mesh.ts';
import type { LoadedRank } from './run-rank.ts';

/** What a tensor of a package is before it is cut. */
export function wholeType({ mesh }: Manifest, tensor: PackageTensor): Pick<TensorData, 'dtype' | 'shape'> {
  const { dims } = placementOf(tensor);
  const shape =
    tensor.whole ??
    tensor.shape.map((extent, dim) => extent * devicesAlong(mesh ?? { axes: [] }, dims[dim] ?? []));
  return { dtype: tensor.dtype, shape };
}

/**
 * Runs on a mesh in this process.
 * @throws UserError `wrong-input` when an input is not of its type, `replicas-differ` when devices do not
 * agree on an output; and as `run`
 */
export async function runWhole(
  loaded: LoadedMesh,
  manifest: Manifest,
  inputs: Tensors,
): Promise<Map<string, TensorData>> {
  const blocks = allCoordinates(loaded.mesh).map((coordinates) =>
    blocksOf(manifest, inputs, loaded.mesh, coordinates),
  );
  return assembleOutputs(manifest, await loaded.run(blocks), loaded.mesh);
}

/**
 * Collective: each rank gives the same whole inputs, and runs its part. Rank 0 gets the whole outputs.
 * @throws UserError as `runWhole`, on the rank where it shows; the others then wait, until they are told
 */
export async function runWholeOnRank(
  loaded: LoadedRank,
  manifest: Manifest,
  inputs: Tensors,
  world: Communicator,
): Promise<Map<string, TensorData> | undefined> {
  const coordinates = coordinatesOf(loaded.mesh, world.rank);
  const outputs = await loaded.run(blocksOf(manifest, inputs, loaded.mesh, coordinates));
  const gathered = await gatherBlocks(manifest, outputs, world);
  return world.rank === 0 ? assembleOutputs(manifest, gathered, loaded.mesh) : undefined;
}

/** What each rank holds of the outputs. */
async function gatherBlocks(
  manifest: Manifest,
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

function blocksOf(manifest: Manifest, inputs: Tensors, mesh: Mesh, coordinates: Coordinates): Tensors {
  const known = new Map(manifest.inputs.map((input) => [input.path, input]));
  return new Map(
    [...inputs].map(([path, tensor]) => {
      const input = known.get(path);
      checkWhole(manifest, path, tensor, input);
      const placement = placementOf(input);
      return [path, blockOf(`the input ${path}`, tensor, placement, mesh, coordinates, input.shape)] as const;
    }),
  );
}

function assembleOutputs(
  manifest: Manifest,
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
  manifest: Manifest,
  path: string,
  tensor: TensorData,
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
