import { type Command, Option } from 'commander';
import { type Checked, checkFile } from '../../driver/compile.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import type { PropertyInfo } from '../../dsl/types/typed.ts';
import { counterexampleFile } from '../../property-tests/engine/counterexample-file.ts';
import { type DeviceRunner, deviceRunner } from '../../property-tests/engine/device-runner.ts';
import { judgeOf } from '../../property-tests/engine/judge.ts';
import { type PropertyReport, type Target, targets } from '../../property-tests/engine/report.ts';
import { runProperty } from '../../property-tests/engine/run-property.ts';
import { isUserError, UserError } from '../../runtime/errors.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
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
import { orEnd } from './entry-options.ts';
import { checkPlace } from './results.ts';

interface TestOptions {
  readonly property?: string;
  readonly runs: number;
  readonly seed?: number;
  readonly path?: string;
  readonly target: 'all' | 'reference' | 'wgsl';
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
      new Option('--target <target>', 'where to run: on the reference all cases, on WebGPU a tenth of them')
        .choices(['all', 'reference', 'wgsl'])
        .default('all'),
    )
    .addOption(
      new Option('--adapter <kind>', 'which WebGPU adapter')
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
      await withDevice(options, output, async (device) => {
        const tested: TestedFile[] = [];
        for (const each of checked) tested.push(await testFile(each, { ...options, seed }, device, output));
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
  device: DeviceRunner | undefined,
  output: Output,
): Promise<TestedFile> {
  const reports: TestedProperty[] = [];
  const targets = targetsOf(options, device);
  for (const property of checked.program.properties.values()) {
    if (options.property !== undefined && options.property !== property.name) continue;
    const { runs, seed, path, exhaust } = options;
    const onCase = (done: number, total: number) => output.advance(property.name, done, total);
    const report = await runProperty(judgeOf(checked, property, device), {
      ...{ runs, seed, path, exhaust, targets, onCase },
    });
    const saved = await savedOf({ file, checked }, property, report, options, device);
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
  device: DeviceRunner | undefined,
): Promise<SavedCounterexample | undefined> {
  if (outcome.kind !== 'failed' && outcome.kind !== 'undecided') return undefined;
  const { counterexample } = outcome;
  const folder = typeof save === 'string' ? save : counterexampleFolder(file);
  const replay = replayCommand(file, property.name, counterexample);
  const failure = { file, checked, property, outcome: outcome.kind, counterexample, replay };
  const text = await counterexampleFile(failure, folder, device);
  if (text === undefined) return undefined;
  return save === false ? { text } : saveCounterexample(folder, property.name, text);
}

function targetsOf({ target }: TestOptions, device: DeviceRunner | undefined): readonly Target[] {
  return targets.filter(
    (each) => (target === 'all' || target === each) && (each !== 'wgsl' || device !== undefined),
  );
}

/** Where no adapter is found, and none was asked for, the reference tests alone, and that is said. */
async function withDevice(
  { target, adapter }: TestOptions,
  output: Output,
  work: (device: DeviceRunner | undefined) => Promise<void>,
): Promise<void> {
  const opened = await openedFor(target, adapter, output);
  const runner = opened && deviceRunner(opened);
  try {
    await work(runner);
  } finally {
    runner?.destroy();
    opened?.destroy();
  }
}

async function openedFor(
  target: TestOptions['target'],
  adapter: TestOptions['adapter'],
  output: Output,
): Promise<OpenedDevice | undefined> {
  if (target === 'reference') return undefined;
  try {
    return await openDevice(await openAdapter({ kind: adapter, report: output.progress }));
  } catch (error) {
    if (target === 'wgsl' || !isUserError(error)) throw error;
    output.progress(`${error.message}: only the reference is tested`);
    return undefined;
  }
}
