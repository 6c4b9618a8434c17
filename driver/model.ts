/**
 * The TypeScript API: `load` a Ricci file, call its entries with tensors. Each entry is compiled once for
 * each set of shapes and dtypes it is called with, or for all up to bounds, and stays on the device.
 */
import type { Sizes } from '../compiler/graph/extent.ts';
import { describeEntry, type EntryTensor, solveEntrySizes } from '../compiler/lower/entry.ts';
import type { AnyManifest, Package, PtxPackage, WasmPackage } from '../compiler/plan/package.ts';
import { type Allowance, allowanceNames, isAllowance } from '../compiler/tiles/allowances.ts';
import { renderDiagnostic } from '../dsl/diagnostics/render-terminal.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import { evaluateSize } from '../dsl/types/size.ts';
import type { CudaDevice } from '../runtime/cuda/device.ts';
import { loadCuda } from '../runtime/cuda/load.ts';
import { openCudaDevice } from '../runtime/cuda/open-device.ts';
import { UserError } from '../runtime/errors.ts';
import { type LoadedLaunchMesh, loadCudaMesh, loadWasmMesh } from '../runtime/mesh/run-launch-mesh.ts';
import { loadMesh } from '../runtime/mesh/run-mesh.ts';
import { runWhole } from '../runtime/mesh/whole-tensors.ts';
import { wasmDeviceHere } from '../runtime/wasm/features.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import { adoptDevice, type OpenedDevice } from '../runtime/webgpu/device.ts';
import { type AnyTensor, type DeviceTensor, isOnDevice } from '../runtime/webgpu/device-tensor.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { readBuffer } from '../runtime/webgpu/read-buffer.ts';
import { inMemory } from '../runtime/weights/stored-tensor.ts';
import type { TensorData } from '../runtime/weights/tensor-data.ts';
import { type Checked, checkFile, chooseEntry, type Rejected } from './check.ts';
import { type Chosen, chooseTarget, type KernelTarget, onChosen } from './choose-target.ts';
import { compileFor, compilePtx, compileWasm } from './compile.ts';
import { checkInputs, flattenInputs, type ModelInputs } from './inputs.ts';
import { type Lowered, type Instance as LoweredInstance, lower, noBoundsOnMeshes } from './lower.ts';
import { costModelOf, type Machine } from './machine.ts';
import { nestOutputs } from './outputs.ts';
import { reservedMethods } from './reserved-methods.ts';
import { runReference } from './run-reference.ts';
import { runReferenceOnMesh } from './run-reference-mesh.ts';
import { knownFrom } from './tuning/cache.ts';
import { adapterIdentity, cudaIdentity, processorIdentity } from './tuning/identity.ts';
import type { Identity } from './tuning/tuning-file.ts';

export { isUserError, UserError } from '../runtime/errors.ts';
export { DeviceTensor } from '../runtime/webgpu/device-tensor.ts';
export type { ModelInputs } from './inputs.ts';
export type { Machine } from './machine.ts';
export type { Float, Given, Key, Scalar, Tensor } from './tensors.ts';
export { key, scalar, tensor, valuesOf } from './tensors.ts';

export type Target = KernelTarget | 'reference';

export interface LoadOptions {
  /**
   * `wgsl` runs on WebGPU, `wasm` in WebAssembly on the processor, `ptx` on an NVIDIA GPU through CUDA, or in
   * the emulator where there is none, `reference` on the float64 evaluator. If not given, on a GPU where there
   * is one (`wgsl`), else in WebAssembly.
   */
  readonly target?: Target;
  /** Which WebGPU adapter: hardware if there is one, by default. Who names a kind of it wants WebGPU. */
  readonly adapter?: 'auto' | 'hardware' | 'software';
  /** A WebGPU device of the caller's own to run on, which `close` leaves open. */
  readonly device?: GPUDevice;
  /**
   * Devices along mesh axes: `{ dp: 2, tp: 4 }`. They are logical devices of one adapter, or of the processor;
   * tensors are whole in calls, and cut and put together there.
   */
  readonly mesh?: Readonly<Record<string, number>>;
  /**
   * Sizes that differ from call to call, and what they are at most: `{ S: 4096 }`. An entry is compiled once
   * for all values up to that, and nothing is compiled or allocated between calls.
   */
  readonly bounds?: Readonly<Record<string, number>>;
  /** With `mesh`: the compiler places all that the program does not. */
  readonly auto?: boolean;
  /** What the compiler weighs where it places; a node of H100 if not given. */
  readonly machine?: Machine;
  /**
   * Schedules as `ricci tune` measured them: a file that it wrote, `auto` (the default) for what it kept of
   * the device, `shipped` for what comes with the compiler alone, or `none`.
   */
  readonly tuning?: string;
  /**
   * With the target `ptx`: roundings that matrix units may make, such as `rounded-factors`, by which they
   * round a factor to 16 bits where the other one is stored so, as most frameworks do. Without, nothing is
   * rounded that the program does not round.
   */
  readonly allow?: readonly Allowance[];
  /** Hears, in single lines, what may take a while or is worth knowing. */
  readonly report?: (line: string) => void;
}

export type ModelOutputs = { readonly out: TensorData } & { readonly [path: string]: TensorData };

export interface Model {
  /**
   * Runs an entry by its name; the results are by path. Sizes that the shapes of the inputs do not fix are
   * given in `sizes`. The methods of the entries do the same, with results nested as they are declared.
   * @throws UserError when the inputs are not those that the entry takes, or the program does not fit the
   * device.
   */
  readonly call: (
    entry: string,
    inputs: ModelInputs,
    sizes?: Readonly<Record<string, number>>,
  ) => Promise<ModelOutputs>;
  readonly webgpu: OnWebGpu;
  /** Gives the device back. A call after that takes one anew. */
  readonly close: () => void;
}

/**
 * Tensors that stay on the device, with the target `wgsl` and no mesh. Inputs of any call may be such
 * tensors: they are read where they are, and not copied. Of indices among them it is not checked that they
 * are in range; what they read then is some element.
 */
export interface OnWebGpu {
  /** The device that the model runs on: buffers must be made on it. */
  readonly device: () => Promise<GPUDevice>;
  /**
   * As `Model.call`, but leaves the results on the device, and does not wait for the end of the run. They
   * hold until the next call of the entry with the same shapes; as its inputs they are copied first.
   */
  readonly call: (
    entry: string,
    inputs: ModelInputs,
    sizes?: Readonly<Record<string, number>>,
  ) => Promise<{ readonly out: DeviceTensor } & { readonly [path: string]: DeviceTensor }>;
  /** What is in a tensor once all that was asked for before has run. */
  readonly read: (tensor: DeviceTensor) => Promise<TensorData>;
}

/** A call of one entry, where there are no generated declarations: `load<Entries>(…)`. */
type Calls = Readonly<Record<string, (...inputs: never) => Promise<unknown>>>;

/**
 * Reads and checks a Ricci file; its entries become methods.
 * @throws UserError when the file cannot be read or has errors (all of them are in the message), or when
 * options contradict each other.
 */
export async function load<Entries extends object = Calls>(
  path: string,
  options: LoadOptions = {},
): Promise<Model & Entries> {
  const { report = () => undefined } = options;
  refuseAllowances(options);
  const checked = accepted(checkFile(path));
  const instances = new Map<string, Promise<Instance>>();
  const choose = once(() => chooseTarget({ ...options, target: kernelTargetOf(options), report }));
  const opened = once(async () => openWith(options, await choose.get()));
  const cuda = once(() => openCudaDevice(report));
  const place: Place = { choose: choose.get, open: opened.get, openCuda: cuda.get };

  const prepared = async (
    entryName: string,
    inputs: ModelInputs,
    given: Readonly<Record<string, number>>,
  ): Promise<{
    readonly instance: Instance;
    readonly tensors: ReadonlyMap<string, AnyTensor>;
    /** The bounded sizes in this call. */
    readonly ofCall: Sizes;
  }> => {
    const entry = chooseEntry(checked.program, path, entryName);
    const tensors = flattenInputs(inputs);
    const { sizes, wanted } = solve(checked, entry, tensors, given, options);
    const inputDtypes = new Map([...tensors].map(([name, { dtype }]) => [name, dtype]));
    checkInputs(wanted, tensors, sizes);
    const made = (of: CompiledFor): Promise<Instance> => {
      const key = JSON.stringify([entry, [...of.sizes], [...of.bounds], [...inputDtypes]]);
      const making =
        instances.get(key) ?? makeInstance(checked, { entry, ...of, inputDtypes }, options, place);
      instances.set(key, making);
      return making.catch((error: unknown) => {
        // What failed once, for want of memory say, may go well another time.
        instances.delete(key);
        throw error;
      });
    };
    const upTo = withinBounds(entry, sizes, options);
    const instance = await made(upTo);
    const ofCall = new Map([...sizes].filter(([name]) => upTo.bounds.has(name)));
    const isSmaller = [...instance.least].some(([name, least]) => ofCall.get(name)! < least);
    // Very small sizes may have a program of another form.
    if (isSmaller) return { instance: await made({ sizes, bounds: new Map() }), tensors, ofCall: new Map() };
    return { instance, tensors, ofCall };
  };
  const call: Model['call'] = async (entry, inputs, given = {}) => {
    const { instance, tensors, ofCall } = await prepared(entry, inputs, given);
    return Object.fromEntries(await instance.run(tensors, ofCall)) as ModelOutputs;
  };
  const onDevice = async (): Promise<OpenedDevice> => {
    const where = await placeOf(options, place);
    if (where === undefined) return opened.get();
    throw elsewhere(where);
  };
  const webgpu: OnWebGpu = {
    device: async () => (await onDevice()).device,
    call: async (entry, inputs, given = {}) => {
      await onDevice();
      const { instance, tensors, ofCall } = await prepared(entry, inputs, given);
      return Object.fromEntries(await instance.runOnDevice(tensors, ofCall)) as Awaited<
        ReturnType<OnWebGpu['call']>
      >;
    },
    read: async (tensor) => readBuffer(await onDevice(), tensor),
  };
  const close = () => {
    for (const making of instances.values())
      void making.then(({ destroy }) => destroy()).catch(() => undefined);
    const ended = [...instances.values()];
    instances.clear();
    if (options.device === undefined) opened.end((device) => device.destroy());
    // What is on the device goes with it, and is given back before.
    void Promise.allSettled(ended).then(() => cuda.end((device) => device.release()));
  };
  const methods = [...checked.program.entries.keys()].filter((name) => !reservedMethods.has(name));
  const entries = methods.map((name) => [
    name,
    async (inputs: ModelInputs, sizes?: Readonly<Record<string, number>>) =>
      nestOutputs(await call(name, inputs, sizes)),
  ]);
  return { ...Object.fromEntries(entries), call, webgpu, close } as Model & Entries;
}

function refuseAllowances({ allow = [], target }: LoadOptions): void {
  const unknown = allow.find((name) => !isAllowance(name));
  if (unknown !== undefined)
    throw new UserError('wrong-input', `allow: there is no ${unknown}`, `there are: ${allowanceNames}`);
  const [first] = allow;
  if (first !== undefined && target !== 'ptx')
    throw new UserError(
      'wrong-input',
      `allow: ${first} is of the target ptx`,
      "give target: 'ptx', or leave it out",
    );
}

/** Where its kernels run, where that was said. */
function kernelTargetOf({ target, device }: LoadOptions): KernelTarget | undefined {
  if (target !== undefined && target !== 'reference') return target;
  return device === undefined ? undefined : 'wgsl';
}

/** Where a model runs: found out when it is first needed, and once. */
interface Place {
  readonly choose: () => Promise<Chosen<KernelTarget>>;
  readonly open: () => Promise<OpenedDevice>;
  readonly openCuda: () => Promise<CudaDevice>;
}

/** Something that is made when it is first asked for, and asked for again after it failed or was ended. */
function once<T>(make: () => Promise<T>) {
  let making: Promise<T> | undefined;
  return {
    get: (): Promise<T> => {
      making ??= make().catch((error: unknown) => {
        making = undefined;
        throw error;
      });
      return making;
    },
    /** Nothing where nobody asked for it. */
    end: (work: (made: T) => void): void => {
      void making?.then(work).catch(() => undefined);
      making = undefined;
    },
  };
}

/** Where the tensors of a call are, in words; undefined on a WebGPU device. */
async function placeOf({ target, mesh }: LoadOptions, { choose }: Place): Promise<string | undefined> {
  if (mesh !== undefined) return 'a mesh';
  const own = target ?? (await choose()).target;
  return own === 'wgsl' ? undefined : `the target ${own}`;
}

async function openWith({ device }: LoadOptions, chosen: Chosen<KernelTarget>): Promise<OpenedDevice> {
  return device === undefined ? chosen.open() : adoptDevice(device);
}

/** What an entry is compiled for: sizes, and what others are at most. */
interface CompiledFor {
  readonly sizes: Sizes;
  readonly bounds: Sizes;
}

/** @throws UserError when a size is above its bound */
function withinBounds(
  entry: string,
  sizes: Sizes,
  { bounds: given = {}, target, mesh }: LoadOptions,
): CompiledFor {
  const wrong = Object.entries(given).find(([, bound]) => !Number.isSafeInteger(bound) || bound < 1);
  if (wrong !== undefined)
    throw new UserError(
      'wrong-input',
      `the bound of ${wrong[0]} is ${wrong[1]}`,
      'give a whole number from 1',
    );
  if (mesh !== undefined && Object.keys(given).length > 0) throw noBoundsOnMeshes(Object.keys(given));
  const bounds = new Map(Object.entries(given).filter(([name]) => sizes.has(name)));
  for (const [name, bound] of bounds)
    if (sizes.get(name)! > bound)
      throw new UserError(
        'wrong-input',
        `${entry} was given ${name} = ${sizes.get(name)}, and the bound of ${name} is ${bound}`,
        'give less at a time, or load the model with another bound',
      );
  // The reference has a program for each size: it is what the others are compared with.
  if (target === 'reference') return { sizes, bounds: new Map() };
  return { sizes: new Map([...sizes].filter(([name]) => !bounds.has(name))), bounds };
}

/** An entry compiled for one set of shapes, or for all up to bounds. */
interface Instance {
  /** By bounded size, what it must be at least. */
  readonly least: Sizes;
  /** `sizes` are those that are bounded, as they are in this run. */
  readonly run: (
    inputs: ReadonlyMap<string, AnyTensor>,
    sizes: Sizes,
  ) => Promise<ReadonlyMap<string, TensorData>>;
  readonly runOnDevice: (
    inputs: ReadonlyMap<string, AnyTensor>,
    sizes: Sizes,
  ) => Promise<ReadonlyMap<string, DeviceTensor>>;
  /** Beside what is on the device, which goes with it. */
  readonly destroy: () => void;
}

type CompiledInstance = CompiledFor & Pick<LoweredInstance, 'entry' | 'inputDtypes'>;

async function makeInstance(
  checked: Checked,
  wanted: CompiledInstance,
  options: LoadOptions,
  { choose, open, openCuda }: Place,
): Promise<Instance> {
  const { target, mesh, auto = false, machine = {}, allow: allowed = [] } = options;
  const { tuning = 'auto', report = () => undefined } = options;
  const placing = mesh && { mesh: meshOf(mesh), auto, costs: costModelOf(machine) };
  const instance = { ...wanted, ...placing };
  const lowered: Lowered = accepted(lower(checked, instance));
  if (target === 'reference') {
    const { graph, device } = lowered;
    return onHost('the target reference', async (inputs) =>
      device === undefined ? runReference(graph, inputs) : runReferenceOnMesh(device, inputs),
    );
  }
  const advised = (here: Identity) => ({ ...instance, ...knownFrom(tuning, here, report) });
  return onChosen(await choose(), {
    wasm: () => inWasm(compileWasm(lowered, advised(processorIdentity()), wasmDeviceHere()).package),
    wgsl: async () => {
      const device = await open();
      return onWebGpu(compileFor(lowered, advised(adapterIdentity(device)), device.profile).package, device);
    },
    ptx: async () => {
      const device = await openCuda();
      const own = { ...advised(cudaIdentity(device)), allowed };
      return onCuda(compilePtx(lowered, own, device.target).package, device);
    },
  });
}

async function inWasm(compiled: WasmPackage): Promise<Instance> {
  if (compiled.manifest.mesh !== undefined) return onMesh(compiled.manifest, await loadWasmMesh(compiled));
  const loaded = await loadWasm(compiled);
  const run = async (inputs: ReadonlyMap<string, TensorData>, sizes: Sizes) => loaded.run(inputs, sizes);
  return { ...onHost('the target wasm', run, loaded.destroy), least: leastOf(compiled.manifest) };
}

async function onCuda(compiled: PtxPackage, device: CudaDevice): Promise<Instance> {
  if (compiled.manifest.mesh !== undefined)
    return onMesh(compiled.manifest, await loadCudaMesh(compiled, device));
  const loaded = loadCuda(compiled, device);
  return { ...onHost('the target ptx', loaded.run, loaded.destroy), least: leastOf(compiled.manifest) };
}

async function onWebGpu(compiled: Package, device: OpenedDevice): Promise<Instance> {
  if (compiled.manifest.mesh !== undefined)
    return onMesh(compiled.manifest, await loadMesh(compiled, device));
  const loaded = await loadPackage(compiled, device);
  return {
    least: leastOf(compiled.manifest),
    run: (inputs, sizes) => loaded.run(inputs, sizes),
    runOnDevice: (inputs, sizes) => loaded.start(inputs, sizes),
    destroy: loaded.destroy,
  };
}

function leastOf({ bounded = [] }: AnyManifest): Sizes {
  return new Map(bounded.map(({ size, least }) => [size, least]));
}

function onMesh(manifest: AnyManifest, loaded: Pick<LoadedLaunchMesh, 'mesh' | 'run' | 'destroy'>): Instance {
  return onHost(
    'a mesh',
    (inputs) =>
      runWhole(loaded, manifest, new Map([...inputs].map(([path, tensor]) => [path, inMemory(tensor)]))),
    loaded.destroy,
  );
}

/** An instance whose tensors come from the memory of the host, and go there. */
function onHost(
  where: string,
  run: (inputs: ReadonlyMap<string, TensorData>, sizes: Sizes) => Promise<ReadonlyMap<string, TensorData>>,
  destroy: () => void = () => undefined,
): Instance {
  return {
    least: new Map(),
    run: async (inputs, sizes) => {
      const here = new Map<string, TensorData>();
      for (const [path, tensor] of inputs) {
        if (isOnDevice(tensor)) throw elsewhere(where, path);
        here.set(path, tensor);
      }
      return run(here, sizes);
    },
    runOnDevice: async () => {
      throw elsewhere(where);
    },
    destroy,
  };
}

function elsewhere(where: string, input?: string): UserError {
  const what = input === undefined ? 'tensors' : `the input ${input}`;
  return new UserError(
    'wrong-input',
    `${what} cannot be on a WebGPU device where the model runs on ${where}`,
    "load the model with target: 'wgsl' and no mesh, or give tensors in memory",
  );
}

/** In the order in which the axes are given: along the last, neighbours have neighbouring numbers. */
function meshOf(axes: Readonly<Record<string, number>>): Mesh {
  const wrong = Object.entries(axes).find(([, size]) => !Number.isSafeInteger(size) || size < 1);
  if (wrong !== undefined)
    throw new UserError(
      'wrong-input',
      `the mesh has ${wrong[1]} devices along ${wrong[0]}`,
      'give a whole number from 1',
    );
  return { axes: Object.entries(axes).map(([name, size]) => ({ name, size })) };
}

/** The entry's sizes, from the shapes of the inputs and those given, and what it takes at them. */
function solve(
  checked: Checked,
  entry: string,
  tensors: ReadonlyMap<string, AnyTensor>,
  given: Readonly<Record<string, number>>,
  { mesh = {} }: LoadOptions,
): { readonly sizes: ReadonlyMap<string, number>; readonly wanted: readonly EntryTensor[] } {
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
  const axes = Object.entries(mesh).filter(([axis]) => checked.program.axes.includes(axis));
  const known = new Map([...Object.entries(given), ...axes]);
  const solved = solveEntrySizes(checked.program, entry, shapes, known);
  if (!('sizes' in solved)) throw rejection({ ...solved, kind: 'rejected', sources: checked.sources });
  const { inputs } = describeEntry(checked.program, entry);
  const lost = inputs.find(({ dims }) => dims.some((size) => evaluateSize(size, solved.sizes) === undefined));
  if (lost !== undefined) throw new Error(`the shape of ${lost.path} is not known`);
  return { sizes: solved.sizes, wanted: inputs };
}

function accepted<T extends { readonly kind: string }>(outcome: T | Rejected): Exclude<T, Rejected> {
  if (outcome.kind === 'rejected') throw rejection(outcome as Rejected);
  return outcome as Exclude<T, Rejected>;
}

/** Diagnostics as one error, for programs that call the API. */
function rejection({ diagnostics, sources }: Rejected): UserError {
  const text = diagnostics.map((each) => renderDiagnostic(each, sources, { colour: false })).join('\n');
  return new UserError('wrong-input', text, 'mend the program, or give it other sizes');
}
