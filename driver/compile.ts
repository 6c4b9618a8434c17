/** One way through: text, typed program, index graph, tile programs, kernels, executable package. */
import { emitPtx, moduleText } from '../backends/cuda-ptx/emit/emit.ts';
import type { PtxKernel } from '../backends/cuda-ptx/emit/kernel.ts';
import { emitWasm, type WasmModule } from '../backends/wasm/emit.ts';
import { encodeModule } from '../backends/wasm/encode.ts';
import { printModule } from '../backends/wasm/print.ts';
import { emitWgsl } from '../backends/wgsl/emit.ts';
import type { Graph, Tensor, TensorId } from '../compiler/graph/graph.ts';
import { printGraph } from '../compiler/graph/print.ts';
import { describeEntry } from '../compiler/lower/entry.ts';
import { lowerEntry } from '../compiler/lower/lower-entry.ts';
import type { SourceOfTensors } from '../compiler/lower/origin.ts';
import { optimize } from '../compiler/optimize/passes.ts';
import type { CostModel } from '../compiler/partition/auto/cost-model.ts';
import type { CollectiveOptions } from '../compiler/partition/collectives/options.ts';
import type { DeviceProgram } from '../compiler/partition/localize.ts';
import type { PlacedGraph } from '../compiler/partition/place.ts';
import type { Kernel } from '../compiler/plan/kernel.ts';
import type { AnyPackage, Package, PtxPackage, WasmPackage } from '../compiler/plan/package.ts';
import type { PlanOptions } from '../compiler/plan/plan-launches.ts';
import { planPackage } from '../compiler/plan/plan-package.ts';
import { planPtxPackage } from '../compiler/plan/plan-ptx-package.ts';
import { planWasmPackage } from '../compiler/plan/plan-wasm-package.ts';
import { allTensors } from '../compiler/plan/storages.ts';
import { raiseGraph } from '../compiler/raise/raise-graph.ts';
import { type Allowance, allowanceFacts, foreignAllowance } from '../compiler/tiles/allowances.ts';
import type { Advice } from '../compiler/tiles/choices/advice.ts';
import { printChoice } from '../compiler/tiles/choices/choice-text.ts';
import { problemTitle } from '../compiler/tiles/choices/problem-title.ts';
import { cudaDevices, type DeviceProfile } from '../compiler/tiles/device-profile.ts';
import type { Rates } from '../compiler/tiles/device-rates.ts';
import { printTileProgram } from '../compiler/tiles/print.ts';
import type { PtxTarget } from '../compiler/tiles/ptx-target.ts';
import { scheduleGraph } from '../compiler/tiles/schedule-graph.ts';
import type { ChosenSchedule, Schedule, ScheduledStep } from '../compiler/tiles/scheduled.ts';
import { type StoredMerged, storeMerged } from '../compiler/tiles/store-merged.ts';
import { storeRounded } from '../compiler/tiles/store-rounded.ts';
import type { TileProgram } from '../compiler/tiles/tile-program.ts';
import type { Diagnostic, Source } from '../dsl/diagnostics/diagnostic.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import { format } from '../dsl/syntax/format.ts';
import { parse } from '../dsl/syntax/parse.ts';
import { type CheckResult, checkProgram, programChecker } from '../dsl/types/check.ts';
import type { Dtype } from '../dsl/types/dtype.ts';
import { evaluateSize } from '../dsl/types/size.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';
import { type Bounded, lowerWithinBounds } from './bounded.ts';
import { checkElements, checkExtents } from './index-limits.ts';
import { misplacedDiagnostics } from './misplaced-diagnostics.ts';
import { moduleLoader, requireSource } from './module-loader.ts';
import { partition } from './partition.ts';
import { type Progress, silent } from './progress.ts';
import { showSignature } from './signature.ts';
import { sourceLines } from './source-lines.ts';
import type { DeviceStage, GraphStage, SourceStage } from './stages.ts';

/** What is wrong with a program, and the texts to show it in. */
export interface Rejected {
  readonly kind: 'rejected';
  readonly diagnostics: readonly Diagnostic[];
  readonly sources: ReadonlyMap<string, string>;
}

export interface Checked {
  readonly kind: 'checked';
  readonly program: TypedProgram;
  readonly sources: ReadonlyMap<string, string>;
}

/**
 * Reads and checks a file and all that it imports.
 * @throws UserError when the file cannot be read.
 */
export function checkFile(path: string): Checked | Rejected {
  return checkSource(requireSource(path));
}

/** As `checkFile`, of a text that need not be at its path yet. */
export function checkSource(source: Source): Checked | Rejected {
  return outcomeOf(checkProgram(source, moduleLoader));
}

/** As `checkSource`, of one text after another: what they import is checked once. No fixes are offered. */
export function sourceChecker(): (source: Source) => Checked | Rejected {
  const check = programChecker(moduleLoader);
  return (source) => outcomeOf(check(source));
}

function outcomeOf({ program, diagnostics, sources }: CheckResult): Checked | Rejected {
  return diagnostics.some(({ severity }) => severity === 'error')
    ? { kind: 'rejected', diagnostics, sources }
    : { kind: 'checked', program, sources };
}

/** The entry that was asked for, or the only one there is. */
export function chooseEntry(program: TypedProgram, path: string, entry: string | undefined): string {
  const names = [...program.entries.keys()];
  const exported = names.filter((name) => program.entries.get(name)?.exported);
  const candidates = exported.length > 0 ? exported : names;
  if (entry !== undefined) {
    if (program.entries.has(entry)) return entry;
    throw new UserError('wrong-input', `${path}: no function ${entry}`, `there are: ${names.join(', ')}`);
  }
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return only;
  const help = candidates.length === 0 ? 'write an export fn' : `give --entry: ${candidates.join(', ')}`;
  throw new UserError('wrong-input', `${path}: which function to run is not clear`, help);
}

export interface Instance {
  readonly entry: string;
  readonly sizes: ReadonlyMap<string, number>;
  /** Of sizes that are known in a run only: what they are at most. The others are in `sizes`. */
  readonly bounds?: ReadonlyMap<string, number>;
  /** What `float` inputs are, by path; f32 for those left out. */
  readonly inputDtypes: ReadonlyMap<string, Dtype>;
  /** Of more devices than one. Its axes are among the sizes. */
  readonly mesh?: Mesh;
  /** On a mesh: places all that is not placed, as in an `auto fn`, whether the entry is one or not. */
  readonly auto?: boolean;
  /** What the partitioner weighs; a node of H100 if not given. */
  readonly costs?: CostModel;
  /** What is known of the best schedules; the first choice of each if not given. */
  readonly advice?: Advice | undefined;
  /** What was measured of the device, by which first choices go; what those of its kind do if not given. */
  readonly rates?: Rates | undefined;
  /** What matrix units may do that changes results. Of the target `ptx`. */
  readonly allowed?: readonly Allowance[];
  /** Multiprocessors of the GPU, where they are not those of an H100. Of the target `ptx`. */
  readonly processors?: number;
  /** What may be done to collectives; if not given, what changes no bit of the results. */
  readonly collectives?: CollectiveOptions;
}

export interface Lowered {
  readonly kind: 'lowered';
  readonly graph: Graph;
  readonly optimized: Graph;
  /** For inputs of type ix(n), by path: n. */
  readonly below: ReadonlyMap<string, number>;
  /** Of the tensors of `graph`. */
  readonly source: SourceOfTensors;
  /** Texts by path. */
  readonly sources?: ReadonlyMap<string, string>;
  /** What is bounded; `graph` and `optimized` are then the programs of all sizes up to the bounds. */
  readonly bounded?: Bounded;
  /** The program of each device of the mesh that was asked for; `optimized` is then of it. */
  readonly device?: DeviceProgram;
  /** Where on that mesh the tensors of `graph` live. */
  readonly placed?: PlacedGraph;
}

/**
 * The index graph of one entry at given sizes, as written and as optimized; on a mesh also that of each
 * device.
 * @throws UserError when an index would not fit in an i32, or the entry cannot run on the mesh.
 */
export function lower(
  checked: Checked,
  { entry, sizes, bounds, inputDtypes, mesh, ...placing }: Instance,
  progress: Progress = silent,
): Lowered | Rejected {
  progress('lowering', 0, 1);
  if (bounds !== undefined && bounds.size > 0) {
    if (mesh !== undefined) throw noBoundsOnMeshes([...bounds.keys()]);
    const lowered = lowerWithinBounds(checked.program, entry, { sizes, inputDtypes, bounds }, progress);
    return { ...lowered, sources: checked.sources };
  }
  const { auto = false } = placing;
  const lowered = lowerEntry(checked.program, entry, { sizes, inputDtypes, auto });
  if ('diagnostics' in lowered) {
    return { kind: 'rejected', diagnostics: lowered.diagnostics, sources: checked.sources };
  }
  checkExtents(lowered.graph);
  const below = describeEntry(checked.program, entry).inputs.flatMap(({ path, element }) => {
    const range = element.kind === 'ix' ? evaluateSize(element.range, sizes) : undefined;
    return range === undefined ? [] : [[path, range] as const];
  });
  if (mesh !== undefined) progress('partitioning', 0, 1);
  const { graph, regions } = lowered;
  const unplaced = { program: checked.program, entry, graph, regions };
  const partitioned = mesh && partition(unplaced, { mesh, ...placing });
  if (partitioned?.kind === 'misplaced') {
    const misplaced = { entry, graph: lowered.graph, source: lowered.source, ...partitioned };
    const diagnostics = misplacedDiagnostics(checked.program, misplaced);
    return { kind: 'rejected', diagnostics, sources: checked.sources };
  }
  progress('optimizing', 0, 1);
  const optimized = optimize((partitioned?.device ?? lowered).graph);
  progress('optimizing', 1, 1);
  return {
    kind: 'lowered',
    graph: lowered.graph,
    optimized,
    below: new Map(below),
    ...{ source: lowered.source, sources: checked.sources },
    ...(partitioned === undefined ? {} : { device: partitioned.device, placed: partitioned.placed }),
  };
}

/** Bounded sizes are of one device. */
export function noBoundsOnMeshes(names: readonly string[]): UserError {
  return new UserError(
    'wrong-input',
    `${names.join(', ')} is bounded, and on a mesh sizes are numbers`,
    'give it a number, or leave the mesh out',
  );
}

/** What back ends take of a lowered program. */
export type ForDevice = Pick<Lowered, 'optimized' | 'below' | 'bounded' | 'device'> &
  Partial<Pick<Lowered, 'source' | 'sources' | 'graph'>> &
  Pick<PlanOptions, 'results'>;

/** What makes kernels and a package of a schedule, for one target. */
interface BackEnd<Written, P extends AnyPackage> {
  readonly write: (programs: readonly TileProgram[], tensor: (id: TensorId) => Tensor) => Written;
  /** @throws UserError when it does not fit the target. */
  readonly plan: (graph: Graph, schedule: Schedule, written: Written, options: PlanOptions) => P;
}

interface Packaged<P extends AnyPackage> {
  readonly schedule: ChosenSchedule;
  readonly package: P;
}

function packaged<Written, P extends AnyPackage>(
  { write, plan }: BackEnd<Written, P>,
  lowered: ForDevice,
  instance: Instance,
  schedule: ChosenSchedule,
  progress: Progress,
): Packaged<P> & Written {
  const { programs, tensor, tensors } = kernelsOf(lowered, schedule);
  const written = write(programs, tensor);
  progress('planning', 0, 1);
  const planned = plan(lowered.optimized, schedule, written, planOptions(lowered, instance));
  // What kernels make where they use it is in no memory.
  const named = new Set(programs.flatMap(({ buffers }) => buffers.map((buffer) => buffer.tensor)));
  const whole = [
    ...lowered.optimized.inputs.map(({ tensor: { id } }) => id),
    ...lowered.optimized.outputs.map((output) => output.tensor),
  ];
  for (const id of whole) named.add(id);
  checkElements(
    lowered.optimized,
    [...tensors.values()].filter(({ id }) => named.has(id)),
  );
  progress('planning', 1, 1);
  return { schedule, ...written, package: planned };
}

interface WrittenWgsl {
  readonly kernels: readonly Kernel[];
}

export type Compiled = Packaged<Package> & WrittenWgsl;

/**
 * Kernels and plan for a device.
 * @throws UserError when the program cannot fit the device; nothing was allocated then.
 */
export function compileFor(
  lowered: ForDevice,
  instance: Instance,
  device: DeviceProfile,
  progress: Progress = silent,
): Compiled {
  return packageFor(lowered, instance, scheduled(lowered, instance, device, progress), device, progress);
}

/** Of kernels that are chosen already. */
export function packageFor(
  lowered: ForDevice,
  instance: Instance,
  schedule: ChosenSchedule,
  device: DeviceProfile,
  progress: Progress = silent,
): Compiled {
  const backEnd: BackEnd<WrittenWgsl, Package> = {
    write: (programs, tensor) => ({
      kernels: programs.map((program, done) => {
        progress('writing kernels', done, programs.length);
        return emitWgsl(program, tensor, device);
      }),
    }),
    plan: (graph, chosen, { kernels }, options) => planPackage(graph, chosen, kernels, device, options),
  };
  return packaged(backEnd, lowered, instance, schedule, progress);
}

interface WrittenWasm {
  readonly module: WasmModule;
}

export type CompiledWasm = Packaged<WasmPackage> & WrittenWasm;

/**
 * A module and plan for the processor.
 * @param device `wasmDevice`, which all engines are, or what `runtime/wasm/features.ts` says of this one
 * @throws UserError when the program does not fit into the memory of a module.
 */
export function compileWasm(
  lowered: ForDevice,
  instance: Instance,
  device: DeviceProfile,
  progress: Progress = silent,
): CompiledWasm {
  return packageWasm(lowered, instance, scheduled(lowered, instance, device, progress), device, progress);
}

/** Of kernels that are chosen already. */
export function packageWasm(
  lowered: ForDevice,
  instance: Instance,
  schedule: ChosenSchedule,
  device: DeviceProfile,
  progress: Progress = silent,
): CompiledWasm {
  const backEnd: BackEnd<WrittenWasm, WasmPackage> = {
    write: (programs, tensor) => {
      progress('writing kernels', 0, 1);
      return { module: emitWasm(programs, tensor, device) };
    },
    plan: (graph, chosen, { module }, options) => {
      const kernels = module.kernels.map((kernel) => ({ ...kernel, grid: [kernel.groups, 1, 1] as const }));
      return planWasmPackage(graph, chosen, kernels, encodeModule(module.code), device, options);
    },
  };
  return packaged(backEnd, lowered, instance, schedule, progress);
}

interface WrittenPtx {
  readonly kernels: readonly PtxKernel[];
  /** All of them. */
  readonly module: string;
}

export type CompiledPtx = Packaged<PtxPackage> & WrittenPtx;

/**
 * A module of PTX and plan for a GPU of NVIDIA.
 * @throws UserError when the program is for another mesh
 */
export function compilePtx(
  lowered: ForDevice,
  instance: Instance,
  arch: PtxTarget,
  progress: Progress = silent,
): CompiledPtx {
  const device = cudaDeviceFor(arch, instance);
  const { graph, results } = asStoredOn(device, lowered.optimized);
  const stored = { ...lowered, optimized: graph, results };
  return packagePtx(stored, instance, scheduled(stored, instance, device, progress), arch, progress);
}

/** What kernels of PTX are made of: problems of it are what is tuned. */
export function asStoredOn(device: DeviceProfile, optimized: Graph): StoredMerged {
  return storeMerged(storeRounded(optimized, device));
}

/** Of kernels that are chosen already. */
export function packagePtx(
  lowered: ForDevice,
  instance: Instance,
  schedule: ChosenSchedule,
  arch: PtxTarget,
  progress: Progress = silent,
): CompiledPtx {
  const lines = sourceLines(lowered);
  const backEnd: BackEnd<WrittenPtx, PtxPackage> = {
    write: (programs, tensor) => {
      const kernels = programs.map((program, done) => {
        progress('writing kernels', done, programs.length);
        return emitPtx(program, tensor, arch, lines);
      });
      return { kernels, module: moduleText(arch, kernels) };
    },
    plan: (graph, chosen, { kernels, module }, options) => {
      const launched = kernels.map((kernel) => ({ ...kernel, block: [kernel.block, 1, 1] as const }));
      return planPtxPackage(graph, chosen, launched, { arch, module }, options);
    },
  };
  return packaged(backEnd, lowered, instance, schedule, progress);
}

/**
 * What schedules for a target respect.
 * @throws UserError when it has no units for what is allowed
 */
export function cudaDeviceFor(
  arch: PtxTarget,
  { allowed = [], processors }: Pick<Instance, 'allowed' | 'processors'>,
): DeviceProfile {
  const foreign = foreignAllowance(allowed, arch);
  if (foreign !== undefined)
    throw new UserError(
      'wrong-input',
      `${foreign} is allowed, and ${arch} has no matrix units for it`,
      `leave it out, or use a GPU of ${allowanceFacts[foreign].targets.join(' or ')}`,
    );
  const device = cudaDevices[arch];
  const { units } = device;
  if (units === undefined) return device;
  return { ...device, units: { ...units, processors: processors ?? units.processors, allowed } };
}

function scheduled(
  { optimized }: ForDevice,
  { advice, rates }: Pick<Instance, 'advice' | 'rates'>,
  device: DeviceProfile,
  progress: Progress,
): ChosenSchedule {
  progress('scheduling', 0, 1);
  return scheduleGraph(optimized, rates === undefined ? device : { ...device, rates }, advice);
}

function kernelsOf({ optimized }: ForDevice, schedule: ChosenSchedule) {
  const tensors = allTensors(optimized, schedule);
  const tensor = (id: TensorId): Tensor => {
    const found = tensors.get(id);
    if (found === undefined) throw new Error(`the schedule names tensor ${id}, which is in no graph`);
    return found;
  };
  return { programs: programsOf(schedule.steps), tensor, tensors };
}

function planOptions(
  { below, source, bounded, device, results }: ForDevice,
  { sizes }: Instance,
): PlanOptions {
  return {
    sizes: Object.fromEntries(sizes),
    below,
    ...(source === undefined ? {} : { names: source.names }),
    ...(bounded === undefined ? {} : { bounded }),
    ...(results === undefined ? {} : { results }),
    ...(device === undefined ? {} : { mesh: device.mesh, placements: device }),
  };
}

/** Every kernel of a schedule, those in loops too. */
function programsOf(steps: readonly ScheduledStep[]): readonly TileProgram[] {
  return steps.flatMap((step) => {
    if (step.kind === 'kernel') return [step.program];
    return step.kind === 'loop' ? programsOf(step.steps) : [];
  });
}

export interface Shown {
  readonly kind: 'shown';
  readonly text: string;
}

/** The program as text at each stage, from what it takes to get there. */
export const showSource: { readonly [S in SourceStage]: (path: string) => Shown | Rejected } = {
  tree: (path) => {
    const source = requireSource(path);
    const { module, diagnostics } = parse(source);
    if (diagnostics.length > 0)
      return { kind: 'rejected', diagnostics, sources: new Map([[source.path, source.text]]) };
    return { kind: 'shown', text: format(module, source.text) };
  },
  types: (path) => {
    const checked = checkFile(path);
    if (checked.kind === 'rejected') return checked;
    return { kind: 'shown', text: [...checked.program.entries.values()].map(showSignature).join('\n') };
  },
};

export const showGraph: { readonly [S in GraphStage]: (lowered: Lowered) => string } = {
  graph: (lowered) => printGraph(lowered.graph),
  source: ({ graph, below, placed }) =>
    raiseGraph(placed?.graph ?? graph, { below, ...(placed && { placed }) }).text,
  optimized: (lowered) => printGraph(lowered.optimized),
};

/** What was chosen for each problem. */
function showSchedule({ schedule: { chosen } }: Packaged<AnyPackage>): string {
  return chosen.map(({ problem, choice }) => `${problemTitle(problem)}: ${printChoice(choice)}`).join('\n');
}

/** Stages that all targets have. */
const showPackaged = {
  schedule: showSchedule,
  tiles: ({ schedule }: Packaged<AnyPackage>) =>
    programsOf(schedule.steps).map(printTileProgram).join('\n\n'),
  plan: (compiled: Packaged<AnyPackage>) => JSON.stringify(compiled.package.manifest, undefined, 2),
};

export const showDevice: {
  readonly [S in Exclude<DeviceStage, 'wasm' | 'ptx'>]: (compiled: Compiled) => string;
} = {
  ...showPackaged,
  wgsl: ({ kernels }) => kernels.map(({ name, code }) => `// ${name}\n${code}`).join('\n\n'),
};

export const showWasm: {
  readonly [S in Exclude<DeviceStage, 'wgsl' | 'ptx'>]: (compiled: CompiledWasm) => string;
} = { ...showPackaged, wasm: ({ module }) => printModule(module.code) };

export const showPtx: {
  readonly [S in Exclude<DeviceStage, 'wgsl' | 'wasm'>]: (compiled: CompiledPtx) => string;
} = { ...showPackaged, ptx: ({ module }) => module };
