import { type Command, Option } from 'commander';
import { type Checked, checkFile } from '../../driver/check.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import type { PropertyInfo } from '../../dsl/types/typed.ts';
import { counterexampleFile } from '../../property-tests/engine/counterexample-file.ts';
import { judgeOf } from '../../property-tests/engine/judge.ts';
import {
  cudaRunner,
  type Runners,
  wasmRunner,
  webGpuRunner,
} from '../../property-tests/engine/kernel-runner.ts';
import { type PropertyReport, type Target, targets } from '../../property-tests/engine/report.ts';
import { runProperty } from '../../property-tests/engine/run-property.ts';
import { openCudaDevice } from '../../runtime/cuda/open-device.ts';
import { isUserError, UserError } from '../../runtime/errors.ts';
import { findGpu, openAdapter } from '../../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../../runtime/webgpu/device.ts';
import { Ended, exitStatus, UsageError } from '../exit.ts';
import { parseCount, parsePath, parseSeed } from '../options.ts';
import { createOutput, type Output } from '../output.ts';
import {
  checkFolder,
  counterexampleFolder,
  type SavedCounterexample,
  saveCounterexample,
} from '../saved-counterexample.ts';
import type { Streams } from '../streams.ts';
import {
  failureDiagnostic,
  junitText,
  replayCommand,
  reportJson,
  summaryLines,
  type TestedFile,
  type TestedProperty,
} from '../test-report.ts';
import { orEnd, refuseAdapter } from './entry-options.ts';
import { checkPlace } from './results.ts';

interface TestOptions {
  readonly property?: string;
  readonly runs: number;
  readonly seed?: number;
  readonly path?: string;
  readonly target: 'all' | Target;
  readonly adapter: 'auto' | 'hardware' | 'software';
  readonly exhaust: number;
  /** False: `--no-save`. */
  readonly save?: string | false;
  readonly junit?: string;
  readonly json?: boolean;
}

export function addTest(command: Command, streams: Streams): void {
  command
    .command('test')
    .description('look for counterexamples to the properties in files')
    .argument('<file...>', 'Ricci source files')
    .option('--property <name>', 'only the property of that name')
    .addOption(
      new Option('--runs <count>', 'cases of each property, where there are as many')
        .argParser(parseCount)
        .default(100),
    )
    .addOption(
      new Option('--seed <seed>', 'draws the same cases again; a new one if not given').argParser(parseSeed),
    )
    .addOption(
      new Option('--path <path>', 'with --seed: only the counterexample of which that was said').argParser(
        parsePath,
      ),
    )
    .addOption(
      new Option(
        '--target <target>',
        'where to run: all is the reference, and of a tenth of the cases WebAssembly and, where there is one, a GPU; ' +
          'ptx is an NVIDIA GPU through CUDA, or the emulator',
      )
        .choices(['all', ...targets])
        .default('all'),
    )
    .addOption(
      new Option('--adapter <kind>', 'which WebGPU adapter; hardware and software add it to --target all')
        .choices(['auto', 'hardware', 'software'])
        .default('auto'),
    )
    .addOption(
      new Option('--exhaust <count>', 'where there are no more cases than that, all of them')
        .argParser(parseCount)
        .default(256),
    )
    .option(
      '--save <dir>',
      'where counterexamples are saved: a folder counterexamples beside the file if not given',
    )
    .option('--no-save', 'do not save counterexamples')
    .option('--junit <file>', 'write the results as JUnit XML too')
    .option('--json', 'the results as JSON on standard output')
    .action(async (files: readonly string[], options: TestOptions) => {
      const output = createOutput(options.json === true, streams);
      if (options.path !== undefined && options.seed === undefined)
        throw new UsageError(
          '--path means nothing without --seed',
          'give the two that were printed together',
        );
      if (options.junit !== undefined) checkPlace(options.junit);
      if (typeof options.save === 'string') checkFolder(options.save);
      const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
      const checked = files.map((file) => ({ file, checked: orEnd(checkFile(file), output) }));
      refuseUnknown(checked, options);
      await withRunners(options, output, async (runners) => {
        const tested: TestedFile[] = [];
        for (const each of checked) tested.push(await testFile(each, { ...options, seed }, runners, output));
        if (options.junit !== undefined) writeFileBeside(options.junit, junitText(tested));
        output.data(summaryLines(tested, seed).join('\n'), reportJson(tested, seed));
        const reports = tested.flatMap((each) => each.reports);
        if (reports.some(({ outcome }) => outcome.kind !== 'passed')) throw new Ended(exitStatus.diagnostic);
      });
    });
}

interface CheckedFile {
  readonly file: string;
  readonly checked: Checked;
}

function refuseUnknown(files: readonly CheckedFile[], { property, path }: TestOptions): void {
  const names = files.flatMap(({ checked }) => [...checked.program.properties.keys()]);
  if (names.length === 0)
    throw new UserError(
      'wrong-input',
      `there are no properties in ${files.map(({ file }) => file).join(', ')}`,
      'write one: property name forall x: f32[N] check f(x) ~= g(x)',
    );
  if (property !== undefined && !names.includes(property))
    throw new UserError('wrong-input', `there is no property ${property}`, `there are: ${names.join(', ')}`);
  if (path !== undefined && property === undefined && names.length > 1)
    throw new UsageError('--path is of one property, and there are several', 'name it: --property NAME');
}

async function testFile(
  { file, checked }: CheckedFile,
  options: TestOptions & { readonly seed: number },
  runners: Runners,
  output: Output,
): Promise<TestedFile> {
  const reports: TestedProperty[] = [];
  const targets = targetsOf(options, runners);
  for (const property of checked.program.properties.values()) {
    if (options.property !== undefined && options.property !== property.name) continue;
    const { runs, seed, path, exhaust } = options;
    const onCase = (done: number, total: number) => output.advance(property.name, done, total);
    const report = await runProperty(judgeOf(checked, property, runners), {
      ...{ runs, seed, path, exhaust, targets, onCase },
    });
    const saved = await savedOf({ file, checked }, property, report, options, runners);
    const tested = { ...report, saved };
    const diagnostic = failureDiagnostic(file, property, tested);
    if (diagnostic !== undefined && !output.json) output.diagnostics([diagnostic], checked.sources);
    reports.push(tested);
  }
  return { file, reports };
}

/** The counterexample as a file, where there is one. */
async function savedOf(
  { file, checked }: CheckedFile,
  property: PropertyInfo,
  { outcome }: PropertyReport,
  { save }: TestOptions,
  runners: Runners,
): Promise<SavedCounterexample | undefined> {
  if (outcome.kind !== 'failed' && outcome.kind !== 'undecided') return undefined;
  const { counterexample } = outcome;
  const folder = typeof save === 'string' ? save : counterexampleFolder(file);
  const replay = replayCommand(file, property.name, counterexample);
  const failure = { file, checked, property, outcome: outcome.kind, counterexample, replay };
  const text = await counterexampleFile(failure, folder, runners);
  if (text === undefined) return undefined;
  return save === false ? { text } : saveCounterexample(folder, property.name, text);
}

function targetsOf({ target }: TestOptions, runners: Runners): readonly Target[] {
  return targets.filter((each) =>
    each === 'reference' ? target === 'all' || target === 'reference' : runners[each],
  );
}

async function withRunners(
  options: TestOptions,
  output: Output,
  work: (runners: Runners) => Promise<void>,
): Promise<void> {
  const { target } = options;
  const opened = await openedFor(options, output);
  const cuda = target === 'ptx' ? await openCudaDevice(output.progress) : undefined;
  const runners: Runners = {
    ...(target === 'wasm' || target === 'all' ? { wasm: wasmRunner() } : {}),
    ...(opened === undefined ? {} : { wgsl: webGpuRunner(opened) }),
    ...(cuda === undefined ? {} : { ptx: cudaRunner(cuda) }),
  };
  try {
    await work(runners);
  } finally {
    for (const runner of Object.values(runners)) runner.destroy();
    opened?.destroy();
    cuda?.release();
  }
}

/** Where all targets are asked for, a GPU if there is one, or the adapter that is named if it is there. */
async function openedFor(
  { target, adapter }: TestOptions,
  output: Output,
): Promise<OpenedDevice | undefined> {
  if (target === 'wasm' || target === 'ptx') refuseAdapter(adapter, target);
  if (target !== 'wgsl' && target !== 'all') return undefined;
  const named = () => openAdapter({ kind: adapter, report: output.progress });
  if (target === 'wgsl') return openDevice(await named());
  try {
    const found = adapter === 'auto' ? await findGpu(output.progress) : await named();
    return found && (await openDevice(found));
  } catch (error) {
    if (!isUserError(error)) throw error;
    output.progress(`${error.message}: nothing is tested on WebGPU`);
    return undefined;
  }
}
