/** A manifest as it is read: of the right form, and what it refers to exists. */
import { UserError } from '../../dsl/diagnostics/user-error.ts';
import { devicesAlong } from '../../dsl/placement/placement.ts';
import type { Sizes } from '../graph/extent.ts';
import { chunkCount, verbFacts } from './exchange-verbs.ts';
import { maxKernelUniforms } from './kernel.ts';
import {
  type AnyManifest,
  type AnyPackageKernel,
  anyManifestSchema,
  type ExchangeStep,
  type LaunchStep,
  type PackageTensor,
  packageVersion,
} from './package.ts';
import { endsFault, type PackageExtent, unknownSize } from './package-bounds.ts';
import { bufferBytes, packedBytes } from './storage-bytes.ts';

/**
 * Checks a manifest as read from `file`, including that what it refers to exists.
 * @throws UserError `malformed-file`, naming the field.
 */
export function parseManifest(value: unknown, file: string): AnyManifest {
  const version = (value as { version?: unknown } | null)?.version;
  if (typeof version === 'number' && version !== packageVersion)
    throw malformed(file, `version ${version} is not version ${packageVersion}, the one this program reads`);
  const parsed = withinStack(file, () => anyManifestSchema.safeParse(value));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw malformed(file, `${fieldText(issue?.path ?? [])}: ${issue?.message ?? 'is not valid'}`);
  }
  const fault = referenceFault(parsed.data);
  if (fault !== undefined) throw malformed(file, fault);
  return parsed.data;
}

/** The schema of steps is recursive, and so is its check. */
function withinStack<T>(file: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof RangeError) throw malformed(file, 'steps: nested too deeply');
    throw error;
  }
}

function malformed(file: string, reason: string): UserError {
  return new UserError('malformed-file', `${file}: ${reason}`, 'compile the package again');
}

/** `steps[2].kernel`. */
function fieldText(path: readonly PropertyKey[]): string {
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return text.replace(/^\./, '') || 'the manifest';
}

/** The first field that refers to something that is not there, or contradicts it. */
function referenceFault(manifest: AnyManifest): string | undefined {
  const kernels = new Map(
    manifest.kernels.map((kernel): [string, AnyPackageKernel] => [kernel.name, kernel]),
  );
  if (kernels.size !== manifest.kernels.length) return 'kernels: two have the same name';
  return (
    meshFault(manifest) ??
    boundsFault(manifest) ??
    mapsFault(manifest) ??
    tensorsFault(manifest) ??
    stepsFault(manifest, kernels, manifest.steps, 'steps', new Set())
  );
}

function meshFault(manifest: AnyManifest): string | undefined {
  const axes = new Set(manifest.mesh?.axes.map(({ name }) => name));
  const sizes = mostOf(manifest);
  if (axes.size !== (manifest.mesh?.axes.length ?? 0)) return 'mesh.axes: two have the same name';
  for (const [index, { counters, coordinates = [] }] of manifest.kernels.entries()) {
    const unknown = coordinates.find((axis) => !axes.has(axis) && !sizes.has(axis));
    if (unknown !== undefined) return `kernels[${index}].coordinates: the mesh has no axis ${unknown}`;
    if (manifest.target === 'wgsl' && counters + coordinates.length > maxKernelUniforms)
      return `kernels[${index}].coordinates: more than ${maxKernelUniforms} with the counters`;
  }
  return undefined;
}

/** Of bounded sizes, what they are at most. */
function mostOf({ bounded = [] }: AnyManifest): Sizes {
  return new Map(bounded.map(({ size, most }) => [size, most]));
}

function boundsFault(manifest: AnyManifest): string | undefined {
  const most = mostOf(manifest);
  const { bounded = [], where = [], inputs, kernels } = manifest;
  if (most.size !== bounded.length) return 'bounded: two sizes have the same name';
  const reversed = bounded.findIndex((size) => size.least > size.most);
  if (reversed >= 0) return `bounded[${reversed}]: least is above most`;
  const isKnown = (extent: PackageExtent | null | undefined) =>
    !extent || unknownSize(extent, most) === undefined;
  const condition = where.findIndex(({ left, right }) => !isKnown(left) || !isKnown(right));
  if (condition >= 0) return `where[${condition}]: a size in it is not bounded`;
  const input = inputs.findIndex(({ belowEnd }) => !isKnown(belowEnd));
  if (input >= 0) return `inputs[${input}].belowEnd: a size in it is not bounded`;
  for (const [index, kernel] of kernels.entries()) {
    const isCounted = 'groups' in kernel;
    const ends = (isCounted ? kernel.axes?.ends : kernel.gridEnds) ?? [];
    if (ends.some((end) => !isKnown(end?.extent)))
      return `kernels[${index}].gridEnds: a size in it is not bounded`;
    if (isCounted && kernel.axes !== undefined) {
      const { groups, ends: own } = kernel.axes;
      if (groups.length !== own.length) return `kernels[${index}].axes: not an end for each axis`;
      const unknown = kernel.coordinates?.find((size) => !most.has(size));
      if (unknown !== undefined) return `kernels[${index}].coordinates: ${unknown} is not bounded`;
    }
  }
  return undefined;
}

function mapsFault({ kernels }: AnyManifest): string | undefined {
  for (const [index, kernel] of kernels.entries()) {
    const maps = ('maps' in kernel ? kernel.maps : undefined) ?? [];
    const unknown = maps.findIndex(({ buffer }) => buffer >= kernel.bindings.length);
    if (unknown >= 0) return `kernels[${index}].maps[${unknown}].buffer: the kernel has no such binding`;
    const unlike = maps.findIndex(
      ({ shape, strides, box }) => box.length !== shape.length || strides.length !== shape.length - 1,
    );
    if (unlike >= 0) return `kernels[${index}].maps[${unlike}]: not a box and strides for its dimensions`;
  }
  return undefined;
}

function tensorsFault(manifest: AnyManifest): string | undefined {
  const { mesh } = manifest;
  const axes = new Set(mesh?.axes.map(({ name }) => name));
  for (const group of ['inputs', 'outputs'] as const)
    for (const [index, tensor] of manifest[group].entries()) {
      const slot = manifest.slots[tensor.slot];
      const field = `${group}[${index}].slot`;
      if (slot === undefined) return `${field}: there is no slot ${tensor.slot}`;
      if (!Number.isSafeInteger(packedBytes(tensor)) || bufferBytes(tensor) > slot.bytes)
        return `${field}: slot ${tensor.slot} is too small for it`;
      const fault = placementFault(tensor, axes);
      if (fault !== undefined) return `${group}[${index}].placement: ${fault}`;
      const unlike = wholeFault(tensor, mesh);
      if (unlike !== undefined) return `${group}[${index}].whole: ${unlike}`;
      const beyond = endsFault(tensor, mostOf(manifest));
      if (beyond !== undefined) return `${group}[${index}].ends: ${beyond}`;
    }
  return undefined;
}

function placementFault({ shape, placement }: PackageTensor, known: ReadonlySet<string>): string | undefined {
  if (placement === undefined) return undefined;
  if (placement.dims.length !== shape.length)
    return `of ${placement.dims.length} dimensions, not ${shape.length}`;
  const axes = [...placement.dims.flat(), ...placement.pending.map(({ axis }) => axis)];
  const unknown = axes.find((axis) => !known.has(axis));
  if (unknown !== undefined) return `the mesh has no axis ${unknown}`;
  return new Set(axes).size === axes.length ? undefined : 'an axis is used twice';
}

function wholeFault(
  { shape, placement, whole }: PackageTensor,
  mesh: AnyManifest['mesh'],
): string | undefined {
  if (whole === undefined) return undefined;
  if (whole.length !== shape.length) return `of ${whole.length} dimensions, not ${shape.length}`;
  const blocks = shape.map(
    (extent, dim) => extent * devicesAlong(mesh ?? { axes: [] }, placement?.dims[dim] ?? []),
  );
  const dim = whole.findIndex((extent, at) => extent > blocks[at]!);
  return dim < 0
    ? undefined
    : `dimension ${dim} is of ${whole[dim]}, and all blocks together of ${blocks[dim]}`;
}

function stepsFault(
  manifest: AnyManifest,
  kernels: ReadonlyMap<string, Pick<AnyPackageKernel, 'bindings' | 'counters'>>,
  steps: readonly LaunchStep[],
  field: string,
  enclosing: ReadonlySet<number>,
): string | undefined {
  const missingSlot = (slots: readonly number[]) => slots.find((slot) => slot >= manifest.slots.length);
  for (const [index, step] of steps.entries()) {
    const at = `${field}[${index}]`;
    switch (step.kind) {
      case 'dispatch': {
        const kernel = kernels.get(step.kernel);
        if (kernel === undefined) return `${at}.kernel: there is no kernel ${step.kernel}`;
        const missing = missingSlot(step.slots);
        if (missing !== undefined) return `${at}.slots: there is no slot ${missing}`;
        if (step.slots.length !== kernel.bindings.length)
          return `${at}.slots: ${step.kernel} takes ${kernel.bindings.length}, not ${step.slots.length}`;
        if (step.counters.length !== kernel.counters)
          return `${at}.counters: ${step.kernel} takes ${kernel.counters}, not ${step.counters.length}`;
        const outside = step.counters.find((loop) => !enclosing.has(loop));
        if (outside !== undefined) return `${at}.counters: the step is not in loop ${outside}`;
        break;
      }
      case 'copy': {
        const missing = missingSlot([step.from, step.to]);
        if (missing !== undefined) return `${at}: there is no slot ${missing}`;
        if (step.from === step.to) return `${at}.to: is the slot that is copied from`;
        if (step.bytes > manifest.slots[step.from]!.bytes) return `${at}.bytes: more than slot ${step.from}`;
        if (step.bytes > manifest.slots[step.to]!.bytes) return `${at}.bytes: more than slot ${step.to}`;
        if (step.sliceOf !== undefined && !enclosing.has(step.sliceOf))
          return `${at}.sliceOf: the step is not in loop ${step.sliceOf}`;
        break;
      }
      case 'exchange': {
        const fault = exchangeFault(manifest, step);
        if (fault !== undefined) return `${at}.${fault}`;
        break;
      }
      case 'loop': {
        if (enclosing.has(step.loop)) return `${at}.loop: is also the loop around it`;
        for (const [first, second] of step.swaps) {
          const missing = missingSlot([first, second]);
          if (missing !== undefined) return `${at}.swaps: there is no slot ${missing}`;
          if (manifest.slots[first]!.bytes !== manifest.slots[second]!.bytes)
            return `${at}.swaps: slots ${first} and ${second} are of different sizes`;
        }
        const inside = new Set([...enclosing, step.loop]);
        const fault = stepsFault(manifest, kernels, step.steps, `${at}.steps`, inside);
        if (fault !== undefined) return fault;
        break;
      }
    }
  }
  return undefined;
}

function exchangeFault({ mesh, slots }: AnyManifest, step: ExchangeStep): string | undefined {
  const { verb, axes, devices, dtype, elements } = step;
  const unknown = axes.find((axis) => !mesh?.axes.some(({ name }) => name === axis));
  if (unknown !== undefined) return `axes: the mesh has no axis ${unknown}`;
  if (new Set(axes).size !== axes.length) return 'axes: one is listed twice';
  if (devices !== devicesAlong(mesh ?? { axes: [] }, axes)) return 'devices: not as many as the axes have';
  const facts = verbFacts[verb];
  for (const [field, chunks] of [
    ['from', facts.source],
    ['to', facts.result],
  ] as const) {
    const slot = slots[step[field]];
    if (slot === undefined) return `${field}: there is no slot ${step[field]}`;
    const tensor = { dtype, shape: [chunkCount(chunks, devices), elements] };
    if (!Number.isSafeInteger(packedBytes(tensor)) || bufferBytes(tensor) > slot.bytes)
      return `${field}: slot ${step[field]} is too small for it`;
  }
  if (step.from === step.to && !facts.inPlace) return `to: is the slot that ${verb} sends from`;
  return undefined;
}
