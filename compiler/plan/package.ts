/**
 * The executable package: what the compiler writes and the runtime runs. A directory with `manifest.json` and
 * the code of its kernels; this is its form in memory. See `package-files.ts` for reading and writing.
 */
import { z } from 'zod';
import { dtypes } from '../../dsl/types/dtype.ts';
import { exchangeVerbs } from '../graph/graph.ts';
import { ptxTargets } from '../tiles/ptx-target.ts';
import { pendingCombiners } from './exchange-verbs.ts';
import { maxKernelUniforms } from './kernel.ts';
import {
  boundedSchema,
  conditionsSchema,
  endsSchema,
  extentSchema,
  gridEndsSchema,
} from './package-bounds.ts';

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

/** What kernels of all targets have. */
const kernelFields = {
  name: identifier,
  /** How each tensor is used that it is given, in this order. */
  bindings: z.array(z.enum(['read', 'write', 'readwrite'])),
  /** How many steps of loops it is given after them. */
  counters: natural,
  /** Mesh axes along which it is given the device's coordinate, or sizes of a run, after the steps. */
  coordinates: z.array(z.string().min(1)).min(1).optional(),
  /** What it is given, as the program calls it: for people. */
  tensors: z.array(z.strictObject({ name: z.string(), bytes: natural })).optional(),
};

/** Bindings are storage buffers; steps and coordinates come in a uniform `vec4<u32>` behind them. */
const kernelSchema = z.strictObject({
  ...kernelFields,
  file: z.string().regex(/^kernels\/[A-Za-z0-9_]+\.wgsl$/, 'is not a file of the folder kernels'),
  workgroupSize: z.tuple([positive, positive, positive]),
  grid: extent3,
  /** Of a bounded program: by dimension, how many workgroups a run needs. */
  gridEnds: gridEndsSchema.length(3).optional(),
  counters: natural.max(maxKernelUniforms),
  coordinates: z.array(z.string().min(1)).min(1).max(maxKernelUniforms).optional(),
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

/** What packages of all targets have beside kernels. */
const commonFields = {
  format: z.literal(packageFormat),
  version: z.literal(packageVersion),
  entry: z.string().min(1),
  sizes: z.record(z.string(), natural),
  /** Present when this is the program of each device of a mesh: all run it in step. */
  mesh: meshSchema.optional(),
  /** Sizes that a run has, within these limits; `sizes` has the others. */
  bounded: boundedSchema.optional(),
  /** What must hold of these. */
  where: conditionsSchema.optional(),
  inputs: z.array(inputSchema),
  outputs: z.array(tensorSchema),
  slots: z.array(slotSchema),
  steps: z.array(stepSchema),
};

const manifestSchema = z.strictObject({
  ...commonFields,
  target: z.literal('wgsl'),
  kernels: z.array(kernelSchema),
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

/** All that it is given are numbers, of tensors their place in memory. */
const wasmKernelSchema = z.strictObject({
  ...kernelFields,
  /** Workgroups, counted through. */
  groups: positive,
  /**
   * Of a bounded program: along each axis of the grid, how many workgroups there are, and how many a run
   * needs. Those that a run decides are given last.
   */
  axes: z.strictObject({ groups: z.array(positive), ends: gridEndsSchema }).optional(),
});

/** What not every engine has. */
const wasmFeatureSchema = z.enum(['relaxed-simd']);

const wasmManifestSchema = z.strictObject({
  ...commonFields,
  target: z.literal('wasm'),
  kernels: z.array(wasmKernelSchema),
  /**
   * Memory of a run on one device and by one thread: slots, what that has to itself, and what may be read
   * around them.
   */
  peakBytes: natural,
  /** Memory that each thread needs to itself; none where it is left out. */
  scratchBytes: natural.optional(),
  requires: z.strictObject({ features: z.array(wasmFeatureSchema) }),
});

/** How the kernel's copies by boxes see a tensor (CUDA driver API, `cuTensorMapEncodeTiled`). */
const mapSchema = z.strictObject({
  /** Which of the bindings. */
  buffer: natural,
  /** `tf32`: of f32 numbers, which are rounded to it on the way. */
  dtype: z.enum(['bf16', 'f16', 'tf32', 'f8e4m3', 'f8e5m2']),
  /** Elements along each dimension, the innermost first. */
  shape: z.array(positive).min(1).max(5),
  /** Bytes from one to the next, of all dimensions but the innermost. */
  strides: z.array(positive),
  /** Elements of what is copied at once. */
  box: z.array(positive.max(256)),
  /** Bytes of a row whose pieces change places in shared memory. */
  swizzle: z.union([z.literal(32), z.literal(64), z.literal(128)]),
});

/**
 * An entry of the module. Its parameters are the addresses of tensors, then a word for each step of a loop
 * and each coordinate.
 */
const ptxKernelSchema = z.strictObject({
  ...kernelFields,
  /** Threads of a block, in each dimension. */
  block: z.tuple([positive, positive, positive]),
  /** Blocks. Nothing is launched where one of the extents is 0. */
  grid: extent3,
  /** Of a bounded program: by dimension, how many blocks a run needs. */
  gridEnds: gridEndsSchema.length(3).optional(),
  /** Of shared memory, beside what the module declares. */
  sharedBytes: natural,
  /** Tensor maps, whose addresses are parameters behind those of the tensors. */
  maps: z.array(mapSchema).min(1).optional(),
});

const ptxManifestSchema = z.strictObject({
  ...commonFields,
  target: z.literal('ptx'),
  /** The GPUs that the module is for. */
  arch: z.enum(ptxTargets),
  kernels: z.array(ptxKernelSchema),
  /** Memory of a run on one device: its slots. */
  peakBytes: natural,
});

export const anyManifestSchema = z.discriminatedUnion('target', [
  manifestSchema,
  wasmManifestSchema,
  ptxManifestSchema,
]);

export type Manifest = z.infer<typeof manifestSchema>;
export type WasmManifest = z.infer<typeof wasmManifestSchema>;
export type PtxManifest = z.infer<typeof ptxManifestSchema>;
export type AnyManifest = Manifest | WasmManifest | PtxManifest;
/** What manifests of all targets have. */
export type CommonManifest = Pick<Manifest, keyof typeof commonFields>;
export type WasmFeature = z.infer<typeof wasmFeatureSchema>;
export type WasmPackageKernel = z.infer<typeof wasmKernelSchema>;
export type PackageMap = z.infer<typeof mapSchema>;
export type PtxPackageKernel = z.infer<typeof ptxKernelSchema>;
export type PackageTensor = z.infer<typeof tensorSchema>;
export type PackageInput = z.infer<typeof inputSchema>;
export type PackageKernel = z.infer<typeof kernelSchema>;
export type AnyPackageKernel = PackageKernel | WasmPackageKernel | PtxPackageKernel;
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

export interface PtxPackage {
  readonly manifest: PtxManifest;
  /** PTX with an entry for each kernel. */
  readonly module: string;
}

/** The package of each target. */
export interface Packages {
  readonly wgsl: Package;
  readonly wasm: WasmPackage;
  readonly ptx: PtxPackage;
}

export type PackageTarget = keyof Packages;
export type AnyPackage = Packages[PackageTarget];
