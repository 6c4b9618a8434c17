/** What the manifests of all targets say: of the entry, its launches, and each kernel. */
import type { LaunchedKernel } from './kernel.ts';
import {
  type AnyPackageKernel,
  type CommonManifest,
  type PackageTarget,
  packageFormat,
  packageVersion,
} from './package.ts';
import type { PlannedLaunches } from './plan-launches.ts';
import { packedBytes } from './storage-bytes.ts';

/** A manifest but for what is of its target alone. */
export function commonManifest<T extends PackageTarget, K>(
  target: T,
  launches: PlannedLaunches<LaunchedKernel>,
  kernels: K[],
): CommonManifest & { readonly target: T; readonly kernels: K[] } {
  const { entry, sizes, bounded, where, mesh, inputs, outputs, slots, steps } = launches;
  return {
    format: packageFormat,
    version: packageVersion,
    target,
    ...{ entry, sizes },
    ...(bounded === undefined ? {} : { bounded }),
    ...(where === undefined ? {} : { where }),
    ...(mesh === undefined ? {} : { mesh }),
    ...{ inputs, outputs, kernels, slots, steps },
  };
}

type CommonKernel = Pick<AnyPackageKernel, 'bindings' | 'counters' | 'coordinates' | 'tensors'>;

/** What a kernel is given. */
export function commonKernel(
  { bindings, counters, coordinates = [] }: LaunchedKernel,
  { tensors }: Pick<PlannedLaunches<LaunchedKernel>, 'tensors'>,
): CommonKernel {
  return {
    bindings: bindings.map(({ access }) => access),
    counters: counters.length,
    ...(coordinates.length === 0 ? {} : { coordinates: [...coordinates] }),
    tensors: bindings.map((binding) => {
      const tensor = tensors.get(binding.tensor)!;
      return { name: tensor.name, bytes: packedBytes(tensor) };
    }),
  };
}
