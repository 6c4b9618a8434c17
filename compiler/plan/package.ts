/**
 * The executable package: what the compiler writes and the runtime runs. A directory with `manifest.json` and
 * one text file a kernel; this is its form in memory. See `package-files.ts` for reading and writing.
 */
import { z } from 'zod';
import { UserError } from '../../dsl/diagnostics/user-error.ts';
import { devicesAlong } from '../../dsl/placement/placement.ts';
import { dtypes } from '../../dsl/types/dtype.ts';
import type { Sizes } from '../graph/extent.ts';
import { exchangeVerbs } from '../graph/graph.ts';
import { chunkCount, pendingCombiners, verbFacts } from './exchange-verbs.ts';
import { maxKernelUniforms } from './kernel.ts';
import {
  boundedSchema,
  conditionsSchema,
  endsFault,
  endsSchema,
  extentSchema,
  gridEndsSchema,
  type PackageExtent,
  unknownSize,
} from './package-bounds.ts';
import { bufferBytes, packedBytes } from './storage-bytes.ts';

export const packageFormat = 'ricci-package';
export const packageVersion = 1;

const natural = z.int().min(0);
const positive = z.int().min(1);
const extent3 = z.tuple([natural, natural, natural]);
const identifier = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is not an identifier');

const placementSchema = z.strictObject({
  /** For each dimension the mesh axes that cut it, major first. */
  dims: z.array(z.array(z.string().min(1))),
  pending: z.array(z.strictObject({ axis: z.string().min(1), combiner: z.enum(pendingCombiners) })),
});

const tensorSchema = z.strictObject({
  path: z.string().min(1),
  dtype: z.enum(dtypes),
  shape: z.array(natural),
  /** Index into `slots`. */
  slot: natural,
  /** On a mesh: how the whole tensor lives, of which `shape` is what one device holds. */
  placement: placementSchema.optional(),
  /**
   * On a mesh that does not divide it: the shape of the whole tensor, where the blocks of all devices
   * together are larger. What a device has behind the end is zeros in an input, and no part of an output.
   */
  whole: z.array(natural).optional(),
  /** Of a bounded program: by dimension, where it ends in a run. `shape` is what there is room for. */
  ends: endsSchema.optional(),
});

const inputSchema = tensorSchema.extend({
  /** For an `ix(n)`: values are in [0, n). */
  below: natural.optional(),
  /** Of a bounded program, where n depends on a size: what it is in a run. */
  belowEnd: extentSchema.optional(),
});

const kernelSchema = z.strictObject({
  name: identifier,
  file: z.string().regex(/^kernels\/[A-Za-z0-9_]+\.wgsl$/, 'is not a file of the folder kernels'),
  workgroupSize: z.tuple([positive, positive, positive]),
  grid: extent3,
  /** Of a bounded program: by dimension, how many workgroups a run needs. */
  gridEnds: gridEndsSchema.length(3).optional(),
  /** How each storage buffer is used, in binding order. */
  bindings: z.array(z.enum(['read', 'write', 'readwrite'])),
  /**
   * How many steps of loops it reads, in a uniform `vec4<u32>` after the storage buffers; none for 0 where
   * there are no coordinates either.
   */
  counters: natural.max(maxKernelUniforms),
  /**
   * Mesh axes along which it reads the device's coordinate, or sizes that it reads of a run, in the same
   * uniform after the steps.
   */
  coordinates: z.array(z.string().min(1)).min(1).max(maxKernelUniforms).optional(),
  /** What is bound, in binding order, as the program calls it: for people. */
  tensors: z.array(z.strictObject({ name: z.string(), bytes: natural })).optional(),
});

const dispatchSchema = z.strictObject({
  kind: z.literal('dispatch'),
  kernel: identifier,
  /** In binding order. */
  slots: z.array(natural),
  /** Loops around this step whose step numbers the kernel gets. */
  counters: z.array(natural),
});

const copySchema = z.strictObject({
  kind: z.literal('copy'),
  from: natural,
  to: natural,
  bytes: positive,
  /** The destination begins at (step of this loop) · bytes; at 0 without it. */
  sliceOf: natural.optional(),
});

const exchangeSchema = z.strictObject({
  kind: z.literal('exchange'),
  verb: z.enum(exchangeVerbs),
  /** Devices that differ in the coordinates along these axes only are a group, the first most significant. */
  axes: z.array(z.string().min(1)),
  /** In a group. */
  devices: positive,
  /** Of the verbs that combine. */
  combiner: z.enum(pendingCombiners),
  dtype: z.enum(dtypes),
  /** Of a chunk, which is what one device sends to another: see `verbFacts`. */
  elements: positive,
  from: natural,
  /** May be `from` where the verb works in place. */
  to: natural,
  /** What is exchanged, as the program calls it: for people. */
  tensor: z.string().optional(),
});

export type ExchangeStep = z.infer<typeof exchangeSchema>;

export type LaunchStep =
  | z.infer<typeof dispatchSchema>
  | z.infer<typeof copySchema>
  | ExchangeStep
  | {
      readonly kind: 'loop';
      readonly loop: number;
      readonly count: number;
      readonly steps: LaunchStep[];
      /** After each step, each pair of slots exchanges its buffers, for all that follows. */
      readonly swaps: [number, number][];
    };

const stepSchema: z.ZodType<LaunchStep> = z.lazy(() =>
  z.discriminatedUnion('kind', [
    dispatchSchema,
    copySchema,
    exchangeSchema,
    z.strictObject({
      kind: z.literal('loop'),
      loop: natural,
      count: natural,
      steps: z.array(stepSchema),
      swaps: z.array(z.tuple([natural, natural])),
    }),
  ]),
);

const slotSchema = z.strictObject({
  bytes: positive.multipleOf(4),
  /** An input's slot holds that input alone, from call to call; the others are shared. */
  role: z.enum(['input', 'work']),
});

const meshSchema = z.strictObject({
  axes: z.array(z.strictObject({ name: z.string().min(1), size: positive })),
});

/** What packages of all targets begin with, and what they have beside kernels. */
const entryFields = {
  entry: z.string().min(1),
  sizes: z.record(z.string(), natural),
  /** Present when this is the program of each device of a mesh: all run it in step. */
  mesh: meshSchema.optional(),
  /** Sizes that a run has, within these limits; `sizes` has the others. */
  bounded: boundedSchema.optional(),
  /** What must hold of these. */
  where: conditionsSchema.optional(),
};
const tensorFields = { inputs: z.array(inputSchema), outputs: z.array(tensorSchema) };
const launchFields = { slots: z.array(slotSchema), steps: z.array(stepSchema) };

const manifestSchema = z.strictObject({
  format: z.literal(packageFormat),
  version: z.literal(packageVersion),
  target: z.literal('wgsl'),
  ...entryFields,
  ...tensorFields,
  kernels: z.array(kernelSchema),
  ...launchFields,
  /**
   * Memory of a run on one device: slots, loop counters and coordinates, the buffer through which results are
   * read back, and what exchanges take beside.
   */
  peakBytes: natural,
  /** The least that a device must offer. */
  requires: z.strictObject({
    storageBuffersPerStage: natural,
    bindingBytes: natural,
    bufferBytes: natural,
    workgroupBytes: natural,
    invocationsPerWorkgroup: natural,
    workgroupSize: extent3,
    workgroupsPerDimension: natural,
    features: z.array(z.string()),
  }),
});

const wasmKernelSchema = z.strictObject({
  name: identifier,
  /** Workgroups, counted through. */
  groups: positive,
  /** How each tensor is used whose place it is given, in this order. */
  bindings: z.array(z.enum(['read', 'write', 'readwrite'])),
  /** How many steps of loops it is given after them. */
  counters: natural,
  /** Mesh axes along which it is given the device's coordinate, or sizes of a run, after them. */
  coordinates: z.array(z.string().min(1)).min(1).optional(),
  /**
   * Of a bounded program: along each axis of the grid, how many workgroups there are, and how many a run
   * needs. Those that a run decides are given last.
   */
  axes: z.strictObject({ groups: z.array(positive), ends: gridEndsSchema }).optional(),
  tensors: z.array(z.strictObject({ name: z.string(), bytes: natural })).optional(),
});

/** What not every engine has. */
const wasmFeatureSchema = z.enum(['relaxed-simd']);

const wasmManifestSchema = z.strictObject({
  format: z.literal(packageFormat),
  version: z.literal(packageVersion),
  target: z.literal('wasm'),
  ...entryFields,
  ...tensorFields,
  kernels: z.array(wasmKernelSchema),
  ...launchFields,
  /**
   * Memory of a run on one device and by one thread: slots, what that has to itself, and what may be read
   * around them.
   */
  peakBytes: natural,
  /** Memory that each thread needs to itself; none where it is left out. */
  scratchBytes: natural.optional(),
  requires: z.strictObject({ features: z.array(wasmFeatureSchema) }),
});

const anyManifestSchema = z.discriminatedUnion('target', [manifestSchema, wasmManifestSchema]);

export type Manifest = z.infer<typeof manifestSchema>;
export type WasmManifest = z.infer<typeof wasmManifestSchema>;
export type WasmFeature = z.infer<typeof wasmFeatureSchema>;
export type WasmPackageKernel = z.infer<typeof wasmKernelSchema>;
export type PackageTensor = z.infer<typeof tensorSchema>;
export type PackageInput = z.infer<typeof inputSchema>;
export type PackageKernel = z.infer<typeof kernelSchema>;
export type Requirements = Manifest['requires'];

export interface Package {
  readonly manifest: Manifest;
  /** The text of each kernel by name. */
  readonly code: ReadonlyMap<string, string>;
}

export interface WasmPackage {
  readonly manifest: WasmManifest;
  /** WebAssembly with a function for each kernel. */
  readonly module: Uint8Array<ArrayBuffer>;
}

export type AnyManifest = Manifest | WasmManifest;
export type AnyPackage = Package | WasmPackage;

export function isWasmPackage(pkg: AnyPackage): pkg is WasmPackage {
  return pkg.manifest.target === 'wasm';
}

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
  const kernels = new Map(manifest.kernels.map((kernel) => [kernel.name, kernel]));
  if (kernels.size !== manifest.kernels.length) return 'kernels: two have the same name';
  return (
    meshFault(manifest) ??
    boundsFault(manifest) ??
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
    const ends = 'file' in kernel ? (kernel.gridEnds ?? []) : (kernel.axes?.ends ?? []);
    if (ends.some((end) => !isKnown(end?.extent)))
      return `kernels[${index}].gridEnds: a size in it is not bounded`;
    if (!('file' in kernel) && kernel.axes !== undefined) {
      const { groups, ends: own } = kernel.axes;
      if (groups.length !== own.length) return `kernels[${index}].axes: not an end for each axis`;
      const unknown = kernel.coordinates?.find((size) => !most.has(size));
      if (unknown !== undefined) return `kernels[${index}].coordinates: ${unknown} is not bounded`;
    }
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

function wholeFault({ shape, placement, whole }: PackageTensor, mesh: Manifest['mesh']): string | undefined {
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
  kernels: ReadonlyMap<string, Pick<PackageKernel, 'bindings' | 'counters'>>,
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
