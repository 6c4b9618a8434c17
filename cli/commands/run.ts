import { existsSync, statSync } from 'node:fs';
import { type Command, Option } from 'commander';
import type { EntryTensor } from '../../compiler/lower/entry.ts';
import type { AnyManifest, AnyPackage, Packages, PackageTarget } from '../../compiler/plan/package.ts';
import { digestOf, isPackage, readPackage } from '../../compiler/plan/package-files.ts';
import type { Allowance } from '../../compiler/tiles/allowances.ts';
import { chooseTarget, type KernelTarget, onChosen } from '../../driver/choose-target.ts';
import { compileFor, compilePtx, compileWasm } from '../../driver/compile.ts';
import { checkInputs, checkInputTypes } from '../../driver/inputs.ts';
import { lower } from '../../driver/lower.ts';
import { storedRandomInput } from '../../driver/random-inputs.ts';
import { runReference } from '../../driver/run-reference.ts';
import { runReferenceOnMesh } from '../../driver/run-reference-mesh.ts';
import { knownFrom } from '../../driver/tuning/cache.ts';
import { adapterIdentity, cudaIdentity, processorIdentity } from '../../driver/tuning/identity.ts';
import type { Identity } from '../../driver/tuning/tuning-file.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import { natural } from '../../dsl/types/size.ts';
import type { ElementType } from '../../dsl/types/typed.ts';
import type { CudaDevice } from '../../runtime/cuda/device.ts';
import { openCudaDevice } from '../../runtime/cuda/open-device.ts';
import { UserError } from '../../runtime/errors.ts';
import type { LoadedRank } from '../../runtime/mesh/loaded-rank.ts';
import { blocksOfRank, runBlocksOnRank, sharedBlocks, wholeType } from '../../runtime/mesh/whole-tensors.ts';
import { inputAt } from '../../runtime/package-inputs.ts';
import { runSizes } from '../../runtime/run-sizes.ts';
import { traceOfRanks } from '../../runtime/trace/ranks-trace.ts';
import { traceText } from '../../runtime/trace/trace-events.ts';
import { wasmDeviceHere } from '../../runtime/wasm/features.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../../runtime/webgpu/device.ts';
import type { StoredTensor } from '../../runtime/weights/stored-tensor.ts';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';
import { UsageError } from '../exit.ts';
import { parseSeed } from '../options.ts';
import { createOutput, type Output } from '../output.ts';
import type { Streams } from '../streams.ts';
import { asRank, type JobCommunicator, type Rank } from './as-rank.ts';
import {
  allowOption,
  type EntryOptions,
  orEnd,
  prepareEntry,
  refuseAdapter,
  refuseAllowances,
  refuseBounds,
  tuningOption,
  withEntryOptions,
} from './entry-options.ts';
import { readInputs } from './given-inputs.ts';
import { checkPlace, checkResultFile, reportResults, writeResults } from './results.ts';
import { inWasm, onCuda, onWebGpu, type RunInputs, type Site } from './run-sites.ts';

interface RunOptions extends EntryOptions {
  readonly target?: KernelTarget | 'reference';
  readonly adapter: 'auto' | 'hardware' | 'software';
  readonly communicator: 'in-process' | JobCommunicator;
  readonly random?: number;
  readonly output?: string;
  readonly trace?: string;
  readonly tuning: string;
  readonly allow: readonly Allowance[];
}

type Tensors = ReadonlyMap<string, TensorData>;
type StoredTensors = ReadonlyMap<string, StoredTensor>;

export function addRun(command: Command, streams: Streams): void {
  withEntryOptions(
    command
      .command('run')
      .description('run an entry of a file, or a compiled package')
      .argument('<file>', 'a .ricci file or a package directory'),
  )
    .addOption(new Option('--random <seed>', 'random inputs for those not given').argParser(parseSeed))
    .addOption(
      new Option(
        '--target <target>',
        'where to run: if not given, on a GPU (wgsl), or in WebAssembly (wasm) where there is none; ptx is an ' +
          'NVIDIA GPU through CUDA, or the emulator',
      ).choices(['wgsl', 'wasm', 'ptx', 'reference']),
    )
    .addOption(
      new Option('--adapter <kind>', 'which WebGPU adapter; hardware and software imply --target wgsl')
        .choices(['auto', 'hardware', 'software'])
        .default('auto'),
    )
    .addOption(
      new Option('--communicator <kind>', 'devices of a mesh: all in this process, or one in each of a job')
        .choices(['in-process', 'mpi', 'nccl'])
        .default('in-process'),
    )
    .option('-o, --output <file>', 'write the results: .safetensors, or .npy when there is one')
    .addOption(tuningOption('auto'))
    .addOption(allowOption())
    .option('--trace <file>', 'what each device computes and exchanges when, as JSON for Perfetto')
    .action(async (file: string, options: RunOptions) => {
      const isDirectory = existsSync(file) && statSync(file).isDirectory();
      if (isDirectory) refuseOfPackages(options);
      refuseBounds(options);
      refuseCombinations(options);
      const work = async (rank: Rank | undefined, output: Output): Promise<void> => {
        if (options.trace !== undefined && speaks(rank)) checkPlace(options.trace);
        const results = await (isDirectory ? runPackage : runFile)(file, options, output, rank);
        if (results === undefined) return;
        if (options.output !== undefined) writeResults(options.output, results);
        reportResults(results, options.output, output);
      };
      const json = options.json === true;
      if (options.communicator === 'in-process') await work(undefined, createOutput(json, streams));
      else await asRank(options.communicator, json, streams, work);
    });
}

/** Options that are fine by themselves. */
function refuseCombinations(options: RunOptions): void {
  const { trace, target, communicator, adapter, tuning, allow } = options;
  refuseAllowances(allow, target);
  if (target === 'wasm' || target === 'ptx') refuseAdapter(adapter, target);
  if (target !== 'reference') return;
  if (trace !== undefined)
    throw new UsageError('--trace times kernels, and the reference has none', 'use another --target');
  if (tuning !== 'auto')
    throw new UsageError('--tuning is of kernels, and the reference has none', 'leave it out');
  if (communicator !== 'in-process')
    throw new UsageError(
      `--communicator ${communicator} runs kernels in each rank, and the reference has none`,
      'use another --target',
    );
}

/** Whether files are written here. */
function speaks(rank: Rank | undefined): boolean {
  return rank === undefined || rank.world.rank === 0;
}

/** Undefined on the ranks of a job that do not speak for it. */
type Results = Tensors | undefined;

async function runFile(
  file: string,
  options: RunOptions,
  output: Output,
  rank: Rank | undefined,
): Promise<Results> {
  const { checked, instance, wanted, inputs } = prepareEntry(
    file,
    options,
    output,
    options.random === undefined,
  );
  const lowered = orEnd(lower(checked, instance, output.advance), output);
  if (options.output !== undefined && speaks(rank))
    checkResultFile(options.output, lowered.graph.outputs.length);
  const given: Given = {
    wanted,
    sizes: instance.sizes,
    tensors: withRandom(wanted, inputs, instance.sizes, options.random),
    ofRun: new Map(),
  };
  checkInputTypes(wanted, given.tensors, instance.sizes);
  if (options.target === 'reference')
    return lowered.device === undefined
      ? runReference(lowered.graph, readAll(given), output.advance)
      : runReferenceOnMesh(lowered.device, readAll(given));
  // All ranks run the same kernels, whatever was measured where they are.
  const tuning = rank !== undefined && options.tuning === 'auto' ? 'shipped' : options.tuning;
  const advised = (here: Identity) => ({ ...instance, ...knownFrom(tuning, here, output.progress) });
  const { target, adapter } = options;
  const chosen = await chooseTarget({ target, adapter, report: output.progress });
  const run: Run = { options, output, rank };
  // Before the inputs are read: sizes that do not fit are refused first.
  return onChosen(chosen, {
    wasm: () =>
      runOn(
        inWasm(
          compileWasm(lowered, advised(processorIdentity()), wasmDeviceHere(), output.advance).package,
          output,
        ),
        given,
        run,
      ),
    wgsl: () =>
      onDevice(chosen.open, (opened) => {
        const compiled = compileFor(
          lowered,
          advised(adapterIdentity(opened)),
          opened.profile,
          output.advance,
        );
        return runOn(onWebGpu(compiled.package, opened, output), given, run);
      }),
    ptx: () =>
      onCudaDevice(output, (device) => {
        const own = { ...advised(cudaIdentity(device)), allowed: options.allow };
        const compiled = compilePtx(lowered, own, device.target, output.advance);
        return runOn(onCuda(compiled.package, device, output), given, run);
      }),
  });
}

async function runPackage(
  directory: string,
  options: RunOptions,
  output: Output,
  rank: Rank | undefined,
): Promise<Results> {
  if (!(await isPackage(directory))) {
    throw new UserError(
      'malformed-file',
      `${directory}: is no package`,
      'give what `ricci compile -o` wrote',
    );
  }
  const pkg = await readPackage(directory);
  if (options.output !== undefined && speaks(rank))
    checkResultFile(options.output, pkg.manifest.outputs.length);
  const inputs: AnyManifest['inputs'] = pkg.manifest.inputs;
  const { tensors } = readInputs(options, inputs);
  const sizes = sizesOfRun(pkg.manifest, tensors, options);
  const wanted = inputs.map((each): EntryTensor => {
    const input = inputAt(each, sizes);
    const { path, below } = input;
    const { dtype, shape } = wholeType(pkg.manifest, input);
    const element: ElementType =
      below === undefined ? { kind: 'dtype', dtype } : { kind: 'ix', range: natural(below) };
    return { path, element, dims: shape.map(natural) };
  });
  const given: Given = {
    wanted,
    sizes: new Map(),
    tensors: withRandom(wanted, tensors, new Map(), options.random),
    ofRun: sizes,
  };
  checkInputTypes(wanted, given.tensors, given.sizes);
  const run: Run = { options, output, rank };
  return (packageRunners[pkg.manifest.target] as PackageRunner<PackageTarget>)(pkg, given, run);
}

type PackageRunner<T extends PackageTarget> = (pkg: Packages[T], given: Given, run: Run) => Promise<Results>;

const packageRunners: { readonly [T in PackageTarget]: PackageRunner<T> } = {
  wasm: (pkg, given, run) => {
    refuseAdapter(run.options.adapter, 'wasm');
    return runOn(inWasm(pkg, run.output), given, run);
  },
  wgsl: (pkg, given, run) => {
    const { options, output } = run;
    const open = async () =>
      openDevice(await openAdapter({ kind: options.adapter, report: output.progress }));
    return onDevice(open, (opened) => runOn(onWebGpu(pkg, opened, output), given, run));
  },
  ptx: (pkg, given, run) => {
    refuseAdapter(run.options.adapter, 'ptx');
    return onCudaDevice(run.output, (device) => runOn(onCuda(pkg, device, run.output), given, run));
  },
};

/**
 * The sizes that a bounded package has in this run, from the shapes of what it is given and from the options.
 * @throws UserError when they are not known, or not what it is for
 */
function sizesOfRun(
  manifest: AnyManifest,
  tensors: StoredTensors,
  { size: { values } }: RunOptions,
): ReadonlyMap<string, number> {
  if (manifest.bounded === undefined && values.size > 0)
    throw new UsageError('--size: a package has its sizes already', 'leave that out, or run the .ricci file');
  return runSizes(manifest).next(tensors, values);
}

/** What a package fixes, or cannot do, is refused rather than passed over. */
function refuseOfPackages(options: RunOptions): void {
  const refused = [
    ...(options.entry === undefined ? [] : ['--entry']),
    ...(options.mesh.size === 0 ? [] : ['--mesh']),
    ...(options.target === undefined ? [] : [`--target ${options.target}`]),
    ...(options.tuning === 'auto' ? [] : ['--tuning']),
    ...(options.allow.length === 0 ? [] : ['--allow']),
  ];
  if (refused.length > 0) {
    throw new UsageError(
      `${refused.join(', ')}: a package has its entry, mesh and target already`,
      'leave that out, or run the .ricci file',
    );
  }
}

/**
 * All inputs of an entry, of the types that it takes; read when they are needed, and as much as is needed.
 */
interface Given {
  readonly wanted: readonly EntryTensor[];
  readonly sizes: ReadonlyMap<string, number>;
  readonly tensors: StoredTensors;
  /** Of a package that is bounded: its sizes in this run. */
  readonly ofRun: ReadonlyMap<string, number>;
}

/** @throws UserError when one cannot be read, or has indices that are out of range */
function readAll({ wanted, sizes, tensors }: Given): Tensors {
  const all = new Map([...tensors].map(([path, tensor]) => [path, tensor.read()]));
  checkInputs(wanted, all, sizes);
  return all;
}

/** Adds random tensors for the inputs that are missing, when a seed was given. */
function withRandom(
  wanted: readonly EntryTensor[],
  given: StoredTensors,
  sizes: ReadonlyMap<string, number>,
  seed: number | undefined,
): StoredTensors {
  if (seed === undefined) return given;
  return new Map(
    wanted.map((each) => [each.path, given.get(each.path) ?? storedRandomInput(each, sizes, seed)]),
  );
}

async function onDevice<T>(
  open: () => Promise<OpenedDevice>,
  work: (opened: OpenedDevice) => Promise<T>,
): Promise<T> {
  const opened = await open();
  try {
    return await work(opened);
  } finally {
    opened.destroy();
  }
}

async function onCudaDevice<T>(output: Output, work: (device: CudaDevice) => Promise<T>): Promise<T> {
  const device = await openCudaDevice(output.progress);
  try {
    return await work(device);
  } finally {
    device.release();
  }
}

interface Run {
  readonly options: RunOptions;
  readonly output: Output;
  readonly rank: Rank | undefined;
}

function runInputs(given: Given): RunInputs {
  return { tensors: given.tensors, readAll: () => readAll(given), ofRun: given.ofRun };
}

async function runOn({ pkg, load, loadRank }: Site, given: Given, run: Run): Promise<Results> {
  const { options, output, rank } = run;
  if (rank !== undefined) return runAsRank(pkg, await loadRank(rank.world), given.tensors, { ...run, rank });
  const loaded = await load();
  try {
    output.advance('running', 0, 1);
    const results = await loaded.run(runInputs(given));
    output.advance('running', 1, 1);
    if (options.trace !== undefined) writeFileBeside(options.trace, traceText(await loaded.trace()));
    return results;
  } finally {
    loaded.destroy();
  }
}

async function runAsRank(
  pkg: AnyPackage,
  loaded: LoadedRank,
  inputs: StoredTensors,
  { options, output, rank }: Run & { readonly rank: Rank },
): Promise<Results> {
  const { manifest } = pkg;
  const { world } = rank;
  try {
    const blocks = blocksOfRank(loaded, manifest, inputs, world.rank);
    const shared = sharedBlocks(loaded, manifest, blocks, world.rank);
    await rank.start({ program: digestOf(pkg) }, shared);
    output.advance('running', 0, 1);
    const results = await runBlocksOnRank(loaded, manifest, blocks, world);
    output.advance('running', 1, 1);
    if (options.trace !== undefined) {
      const trace = await traceOfRanks(manifest, loaded, world);
      if (world.rank === 0) writeFileBeside(options.trace, traceText(trace));
    }
    return results;
  } finally {
    loaded.destroy();
  }
}
