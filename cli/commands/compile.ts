import { type Command, Option } from 'commander';
import type { AnyPackage } from '../../compiler/plan/package.ts';
import { writePackage } from '../../compiler/plan/package-files.ts';
import { bytesText } from '../../compiler/plan/storage-bytes.ts';
import type { Allowance } from '../../compiler/tiles/allowances.ts';
import { relaxedWasmDevice, wasmDevice } from '../../compiler/tiles/device-profile.ts';
import { type PtxTarget, targetOf } from '../../compiler/tiles/ptx-target.ts';
import { compileFor, compilePtx, compileWasm } from '../../driver/compile.ts';
import { type Instance, type Lowered, lower } from '../../driver/lower.ts';
import { showDevice, showGraph, showPtx, showSource, showWasm } from '../../driver/show.ts';
import { type DeviceStage, isGraphStage, isSourceStage, type Stage, stages } from '../../driver/stages.ts';
import { knownFrom } from '../../driver/tuning/cache.ts';
import {
  adapterIdentity,
  gpuIdentity,
  packageIdentity,
  processorIdentity,
} from '../../driver/tuning/identity.ts';
import type { Identity } from '../../driver/tuning/tuning-file.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { openDevice } from '../../runtime/webgpu/device.ts';
import { UsageError } from '../exit.ts';
import { createOutput, type Output } from '../output.ts';
import type { Streams } from '../streams.ts';
import { counted } from '../table.ts';
import {
  allowOption,
  type EntryOptions,
  orEnd,
  prepareEntry,
  refuseAdapter,
  refuseAllowances,
  tuningOption,
  withEntryOptions,
} from './entry-options.ts';

interface CompileOptions extends EntryOptions {
  readonly target: 'wgsl' | 'wasm' | 'ptx';
  readonly arch?: string;
  readonly adapter: 'auto' | 'hardware' | 'software';
  readonly relaxedSimd?: boolean;
  readonly allow: readonly Allowance[];
  readonly output?: string;
  readonly show?: Stage;
  readonly report?: boolean;
  readonly tuning: string;
}

export function addCompile(command: Command, streams: Streams): void {
  withEntryOptions(
    command
      .command('compile')
      .description(
        'compile an entry to an executable package, for the adapter or the processor of this machine',
      )
      .argument('<file>', 'a .ricci file'),
  )
    .addOption(
      new Option('--target <target>', 'what to compile to').choices(['wgsl', 'wasm', 'ptx']).default('wgsl'),
    )
    .option('--arch <target>', 'of PTX: the GPUs it is for: sm_80 and later ones (if not given), or sm_90a')
    .addOption(
      new Option('--adapter <kind>', 'the adapter to compile for')
        .choices(['auto', 'hardware', 'software'])
        .default('auto'),
    )
    .option(
      '--relaxed-simd',
      'to WebAssembly with multiply-adds in one instruction, which not every engine has',
    )
    .addOption(allowOption())
    .addOption(tuningOption('shipped'))
    .option('-o, --output <dir>', 'the directory to write')
    .addOption(
      new Option('--show <stage>', 'print the program at a stage, and write nothing').choices(stages),
    )
    .option('--report', 'of PTX: registers, spills, shared memory and instructions of each kernel, by ptxas')
    .action(async (file: string, options: CompileOptions) => {
      const output = createOutput(options.json === true, streams);
      const { show } = options;
      refuseReport(options);
      if (options.report !== true && (options.output === undefined) === (show === undefined)) {
        throw new UsageError(
          show === undefined ? 'nothing to do' : '--show writes no package',
          'give -o DIR to write a package, or --show STAGE to look at a stage',
        );
      }
      refuseStage(show, options.target);
      if (options.target !== 'wgsl') refuseAdapter(options.adapter, options.target);
      refuseAllowances(options.allow, options.target);
      if (options.target !== 'ptx' && options.arch !== undefined)
        throw new UsageError('--arch is of PTX', 'use --target ptx, or leave it out');
      if (options.target !== 'wasm' && options.relaxedSimd === true)
        throw new UsageError('--relaxed-simd is of WebAssembly', 'use --target wasm, or leave it out');
      if (isSourceStage(show)) return showText(show, orEnd(showSource[show](file), output).text, output);
      const { checked, instance } = prepareEntry(file, options, output);
      const lowered = orEnd(lower(checked, instance, output.advance), output);
      if (isGraphStage(show)) return showText(show, showGraph[show](lowered), output);
      const arch = options.arch === undefined ? undefined : targetFor(options.arch, output);
      await compilers[options.target](lowered, instance, { ...options, arch, show }, output);
    });
}

type ShownOptions = Pick<
  CompileOptions,
  'adapter' | 'relaxedSimd' | 'allow' | 'output' | 'tuning' | 'report'
> & {
  readonly show: DeviceStage | undefined;
  readonly arch: PtxTarget | undefined;
};

/** What a GPU of the architecture runs. */
function targetFor(arch: string, { progress }: Output): PtxTarget {
  const [, major, minor] = /^sm_(\d+)(\d)[af]?$/.exec(arch) ?? [];
  const target = targetOf(Number(major), Number(minor));
  if (target === undefined)
    throw new UsageError(
      `--arch ${arch} is no GPU that PTX is written for`,
      'give sm_80, for GPUs from Ampere on, or sm_90a, for Hopper',
    );
  if (target !== arch) progress(`a GPU of ${arch} runs what is written for ${target}`);
  return target;
}

type Compile = (lowered: Lowered, instance: Instance, options: ShownOptions, output: Output) => Promise<void>;

const compilers: { readonly [T in CompileOptions['target']]: Compile } = {
  wgsl: compileOnDevice,
  wasm: compileToWasm,
  ptx: compileToPtx,
};

/** The stage that is the text of kernels is of one target. */
function refuseStage(show: Stage | undefined, target: CompileOptions['target']): void {
  const isOfOne = show === 'wgsl' || show === 'wasm' || show === 'ptx';
  if (isOfOne && show !== target)
    throw new UsageError(`--show ${show}: the target ${target} has no ${show}`, `use --target ${show}`);
}

function refuseReport({ report, show, target, output: directory }: CompileOptions): void {
  if (report !== true) return;
  if (target !== 'ptx') throw new UsageError('--report is of PTX', 'use --target ptx, or leave it out');
  if (show !== undefined || directory !== undefined)
    throw new UsageError(
      '--report writes no package, and shows no stage',
      'give --report, -o DIR or --show STAGE',
    );
}

async function compileToPtx(
  lowered: Lowered,
  instance: Instance,
  { show, arch = 'sm_80', allow: allowed, report, tuning, output: directory }: ShownOptions,
  output: Output,
): Promise<void> {
  const here = tuning === 'auto' ? { ...(await identityOfGpu()), arch } : packageIdentity(arch);
  const known = knownFrom(tuning, here, output.progress);
  const own = { ...instance, ...known, allowed };
  const compiled = compilePtx(lowered, own, arch, output.advance);
  if (show !== undefined && show !== 'wgsl' && show !== 'wasm')
    showText(show, showPtx[show](compiled), output);
  if (directory !== undefined) await writeCompiled(directory, compiled.package, 'device memory', output);
  if (report !== true) return;
  const { reportPtx } = await import('./ptx-report.ts');
  await reportPtx(compiled, arch, process.env, output);
}

/** @throws UserError `no-device` */
async function identityOfGpu(): Promise<Identity> {
  const { openGpu } = await import('../../runtime/cuda/driver/open.ts');
  const device = await openGpu();
  device.release();
  return gpuIdentity(device.gpu);
}

async function compileToWasm(
  lowered: Lowered,
  instance: Instance,
  { show, relaxedSimd, tuning, output: directory }: ShownOptions,
  output: Output,
): Promise<void> {
  const device = relaxedSimd === true ? relaxedWasmDevice : wasmDevice;
  const known = knownFrom(tuning, processorIdentity(), output.progress);
  const compiled = compileWasm(lowered, { ...instance, ...known }, device, output.advance);
  if (show !== undefined && show !== 'wgsl' && show !== 'ptx')
    showText(show, showWasm[show](compiled), output);
  if (directory !== undefined) await writeCompiled(directory, compiled.package, 'memory', output);
}

async function writeCompiled(
  directory: string,
  pkg: AnyPackage,
  memory: string,
  output: Output,
): Promise<void> {
  await writePackage(directory, pkg);
  const { kernels, peakBytes } = pkg.manifest;
  output.data(`${directory}: ${counted(kernels.length, 'kernel')}, ${bytesText(peakBytes)} of ${memory}`, {
    package: directory,
    kernels: kernels.length,
    peakBytes,
  });
}

async function compileOnDevice(
  lowered: Lowered,
  instance: Instance,
  { show, ...options }: ShownOptions,
  output: Output,
): Promise<void> {
  const opened = await openDevice(await openAdapter({ kind: options.adapter, report: output.progress }));
  try {
    const known = knownFrom(options.tuning, adapterIdentity(opened), output.progress);
    const compiled = compileFor(lowered, { ...instance, ...known }, opened.profile, output.advance);
    if (show !== undefined && show !== 'wasm' && show !== 'ptx')
      showText(show, showDevice[show](compiled), output);
    if (options.output !== undefined)
      await writeCompiled(options.output, compiled.package, 'device memory', output);
  } finally {
    opened.destroy();
  }
}

function showText(stage: Stage, text: string, output: Output): void {
  output.data(text, { stage, text });
}
