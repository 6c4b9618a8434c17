/** Running on a mesh with whole tensors: cut as the package says where they live, and put together again. */
import type { Manifest, PackageInput, PackageTensor } from '../../compiler/plan/package.ts';
import { typeText } from '../../compiler/plan/storage-bytes.ts';
import { devicesAlong, type Placement } from '../../dsl/placement/placement.ts';
import { UserError } from '../errors.ts';
import type { Tensors } from '../webgpu/execute.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import { assemble, distribute } from './distribute.ts';
import type { LoadedMesh } from './run-mesh.ts';

/** What a tensor of a package is before it is cut. */
export function wholeType({ mesh }: Manifest, tensor: PackageTensor): Pick<TensorData, 'dtype' | 'shape'> {
  const { dims } = placementOf(tensor);
  const shape = tensor.shape.map(
    (extent, dim) => extent * devicesAlong(mesh ?? { axes: [] }, dims[dim] ?? []),
  );
  return { dtype: tensor.dtype, shape };
}

/**
 * @throws UserError `wrong-input` when an input is not of its type, `replicas-differ` when devices do not
 * agree on an output; and as `run`
 */
export async function runWhole(
  loaded: LoadedMesh,
  manifest: Manifest,
  inputs: Tensors,
): Promise<Map<string, TensorData>> {
  const known = new Map(manifest.inputs.map((input) => [input.path, input]));
  const devices = Array.from(loaded.traffic.sentBytes, () => new Map<string, TensorData>());
  for (const [path, tensor] of inputs) {
    const input = known.get(path);
    checkWhole(manifest, path, tensor, input);
    const blocks = distribute(`the input ${path}`, tensor, placementOf(input), loaded.mesh);
    for (const [device, block] of blocks.entries()) devices[device]!.set(path, block);
  }
  const outputs = await loaded.run(devices);
  return new Map(
    manifest.outputs.map((output) => {
      const blocks = outputs.map((ofDevice) => ofDevice.get(output.path)!);
      return [output.path, assemble(output.path, blocks, placementOf(output), loaded.mesh)];
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
