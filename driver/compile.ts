/** An index graph becomes tile programs, kernels and an executable package, for each kind of device. */
import { emitPtx, moduleText } from '../backends/cuda-ptx/emit/emit.ts';
import type { PtxKernel } from '../backends/cuda-ptx/emit/kernel.ts';
import { emitWasm, type WasmModule } from '../backends/wasm/emit.ts';
import { encodeModule } from '../backends/wasm/encode.ts';
import { emitWgsl } from '../backends/wgsl/emit.ts';
import type { Graph, Tensor, TensorId } from '../compiler/graph/graph.ts';
import type { Kernel } from '../compiler/plan/kernel.ts';
import type { AnyPackage, Package, PtxPackage, WasmPackage } from '../compiler/plan/package.ts';
import type { PlanOptions } from '../compiler/plan/plan-launches.ts';
import { planPackage } from '../compiler/plan/plan-package.ts';
import { planPtxPackage } from '../compiler/plan/plan-ptx-package.ts';
import { planWasmPackage } from '../compiler/plan/plan-wasm-package.ts';
import { allTensors } from '../compiler/plan/storages.ts';
import { allowanceFacts, foreignAllowance } from '../compiler/tiles/allowances.ts';
import { cudaDevices, type DeviceProfile } from '../compiler/tiles/device-profile.ts';
import type { PtxTarget } from '../compiler/tiles/ptx-target.ts';
import { scheduleGraph } from '../compiler/tiles/schedule-graph.ts';
import type { ChosenSchedule, Schedule, ScheduledStep } from '../compiler/tiles/scheduled.ts';
import { type StoredMerged, storeMerged } from '../compiler/tiles/store-merged.ts';
import { storeRounded } from '../compiler/tiles/store-rounded.ts';
import type { TileProgram } from '../compiler/tiles/tile-program.ts';
import { UserError } from '../runtime/errors.ts';
import { checkElements } from './index-limits.ts';
import type { Instance, Lowered } from './lower.ts';
import { type Progress, silent } from './progress.ts';
import { sourceLines } from './source-lines.ts';

/** What back ends take of a lowered program. */
export type ForDevice = Pick<Lowered, 'optimized' | 'below' | 'bounded' | 'device'> &
  Partial<Pick<Lowered, 'source' | 'sources' | 'graph'>> &
  Pick<PlanOptions, 'results'>;

/** How programs get to one kind of device, of which `Device` is what there is to know. */
interface BackEnd<Device, Written, P extends AnyPackage> {
  /** What kernels are made of, and what their schedules respect. */
  readonly prepare: (lowered: ForDevice, instance: Instance, device: Device) => Prepared;
  readonly write: (programs: readonly TileProgram[], writing: Writing<Device>) => Written;
  /** @throws UserError when it does not fit the device. */
  readonly plan: (schedule: Schedule, written: Written, planning: Planning<Device>) => P;
}

interface Prepared {
  readonly lowered: ForDevice;
  readonly profile: DeviceProfile;
}

interface Writing<Device> {
  readonly tensor: (id: TensorId) => Tensor;
  readonly device: Device;
  readonly lowered: ForDevice;
  readonly progress: Progress;
}

interface Planning<Device> {
  readonly graph: Graph;
  readonly device: Device;
  readonly options: PlanOptions;
}

export interface Packaged<P extends AnyPackage> {
  readonly schedule: ChosenSchedule;
  readonly package: P;
}

type Compile<Device, Result> = (
  lowered: ForDevice,
  instance: Instance,
  device: Device,
  progress?: Progress,
) => Result;

type CompileChosen<Device, Result> = (
  lowered: ForDevice,
  instance: Instance,
  schedule: ChosenSchedule,
  device: Device,
  progress?: Progress,
) => Result;

interface WrittenWgsl {
  readonly kernels: readonly Kernel[];
}

export type Compiled = Packaged<Package> & WrittenWgsl;

const wgsl: BackEnd<DeviceProfile, WrittenWgsl, Package> = {
  prepare: (lowered, _, profile) => ({ lowered, profile }),
  write: (programs, { tensor, device, progress }) => ({
    kernels: eachTold(programs, progress, (program) => emitWgsl(program, tensor, device)),
  }),
  plan: (schedule, { kernels }, { graph, device, options }) =>
    planPackage(graph, schedule, kernels, device, options),
};

/**
 * Kernels and plan for a device.
 * @throws UserError when the program cannot fit the device; nothing was allocated then.
 */
export const compileFor: Compile<DeviceProfile, Compiled> = compiling(wgsl);

/** Of kernels that are chosen already. */
export const packageFor: CompileChosen<DeviceProfile, Compiled> = packaging(wgsl);

interface WrittenWasm {
  readonly module: WasmModule;
}

export type CompiledWasm = Packaged<WasmPackage> & WrittenWasm;

const wasm: BackEnd<DeviceProfile, WrittenWasm, WasmPackage> = {
  prepare: (lowered, _, profile) => ({ lowered, profile }),
  write: (programs, { tensor, device, progress }) => {
    progress('writing kernels', 0, 1);
    return { module: emitWasm(programs, tensor, device) };
  },
  plan: (schedule, { module }, { graph, device, options }) => {
    const kernels = module.kernels.map((kernel) => ({ ...kernel, grid: [kernel.groups, 1, 1] as const }));
    return planWasmPackage(graph, schedule, kernels, encodeModule(module.code), device, options);
  },
};

/**
 * A module and plan for the processor: `wasmDevice`, which all engines are, or what `runtime/wasm/features.ts`
 * says of this one.
 * @throws UserError when the program does not fit into the memory of a module.
 */
export const compileWasm: Compile<DeviceProfile, CompiledWasm> = compiling(wasm);

/** Of kernels that are chosen already. */
export const packageWasm: CompileChosen<DeviceProfile, CompiledWasm> = packaging(wasm);

interface WrittenPtx {
  readonly kernels: readonly PtxKernel[];
  /** All of them. */
  readonly module: string;
}

export type CompiledPtx = Packaged<PtxPackage> & WrittenPtx;

const ptx: BackEnd<PtxTarget, WrittenPtx, PtxPackage> = {
  prepare: (lowered, instance, arch) => {
    const profile = cudaDeviceFor(arch, instance);
    const { graph, results } = asStoredOn(profile, lowered.optimized);
    return { lowered: { ...lowered, optimized: graph, results }, profile };
  },
  write: (programs, { tensor, device: arch, lowered, progress }) => {
    const lines = sourceLines(lowered);
    const kernels = eachTold(programs, progress, (program) => emitPtx(program, tensor, arch, lines));
    return { kernels, module: moduleText(arch, kernels) };
  },
  plan: (schedule, { kernels, module }, { graph, device: arch, options }) => {
    const launched = kernels.map((kernel) => ({ ...kernel, block: [kernel.block, 1, 1] as const }));
    return planPtxPackage(graph, schedule, launched, { arch, module }, options);
  },
};

/**
 * A module of PTX and plan for a GPU of NVIDIA.
 * @throws UserError when the program is for another mesh
 */
export const compilePtx: Compile<PtxTarget, CompiledPtx> = compiling(ptx);

/** Of kernels that are chosen already, of a graph that is as it is stored there. */
export const packagePtx: CompileChosen<PtxTarget, CompiledPtx> = packaging(ptx);

/** What kernels of PTX are made of: problems of it are what is tuned. */
export function asStoredOn(device: DeviceProfile, optimized: Graph): StoredMerged {
  return storeMerged(storeRounded(optimized, device));
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

function compiling<Device, Written, P extends AnyPackage>(
  backEnd: BackEnd<Device, Written, P>,
): Compile<Device, Packaged<P> & Written> {
  return (lowered, instance, device, progress = silent) => {
    const prepared = backEnd.prepare(lowered, instance, device);
    const schedule = scheduled(prepared, instance, progress);
    return packaging(backEnd)(prepared.lowered, instance, schedule, device, progress);
  };
}

function packaging<Device, Written, P extends AnyPackage>({
  write,
  plan,
}: BackEnd<Device, Written, P>): CompileChosen<Device, Packaged<P> & Written> {
  return (lowered, instance, schedule, device, progress = silent) => {
    const graph = lowered.optimized;
    const { programs, tensor, tensors } = kernelsOf(lowered, schedule);
    const written = write(programs, { tensor, device, lowered, progress });
    progress('planning', 0, 1);
    const planned = plan(schedule, written, { graph, device, options: planOptions(lowered, instance) });
    // What kernels make where they use it is in no memory.
    const named = new Set(programs.flatMap(({ buffers }) => buffers.map((buffer) => buffer.tensor)));
    const whole = [
      ...graph.inputs.map((input) => input.tensor.id),
      ...graph.outputs.map(({ tensor: id }) => id),
    ];
    for (const id of whole) named.add(id);
    checkElements(
      graph,
      [...tensors.values()].filter(({ id }) => named.has(id)),
    );
    progress('planning', 1, 1);
    return { schedule, ...written, package: planned };
  };
}

/** Kernel by kernel, saying how far it is. */
function eachTold<K>(
  programs: readonly TileProgram[],
  progress: Progress,
  emit: (program: TileProgram) => K,
): readonly K[] {
  return programs.map((program, done) => {
    progress('writing kernels', done, programs.length);
    return emit(program);
  });
}

function scheduled(
  { lowered, profile }: Prepared,
  { advice, rates }: Pick<Instance, 'advice' | 'rates'>,
  progress: Progress,
): ChosenSchedule {
  progress('scheduling', 0, 1);
  const device = rates === undefined ? profile : { ...profile, rates };
  return scheduleGraph(lowered.optimized, device, advice);
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
export function programsOf(steps: readonly ScheduledStep[]): readonly TileProgram[] {
  return steps.flatMap((step) => {
    if (step.kind === 'kernel') return [step.program];
    return step.kind === 'loop' ? programsOf(step.steps) : [];
  });
}
