import { type Command, Option } from 'commander';
import { type Checked, checkFile } from '../../driver/compile.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import { saveCounterexample } from '../../property-tests/engine/counterexample-file.ts';
import { deviceRunner } from '../../property-tests/engine/device-runner.ts';
import { judgeOf } from '../../property-tests/engine/judge.ts';
import type { PropertyReport } from '../../property-tests/engine/report.ts';
import { runProperty } from '../../property-tests/engine/run-property.ts';
import { isUserError, UserError } from '../../runtime/errors.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../../runtime/webgpu/device.ts';
import { Ended, exitStatus, UsageError } from '../exit.ts';
import { parseCount, parseSeed } from '../options.ts';
import { createOutput, type Output } from '../output.ts';
import type { Streams } from '../streams.ts';
import { checkPlace } from './results.ts';
import { orEnd } from './entry-options.ts';
import { failureDiagnostic, junitText, reportJson, summaryLines, type TestedFile } from '../test-report.ts';

interface TestOptions {
  readonly property?: string;
  readonly runs: number;
  readonly seed?: number;
  readonly path?: string;
  readonly target: 'all' | 'reference' | 'wgsl';
  readonly adapter: 'auto' | 'hardware' | 'software';
  readonly exhaust: number;
  readonly save: string | boolean;
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
    .addOption(new Option('--seed <seed>', 'draws the same cases again; a new one if not given').argParser(parseSeed))
    .option('--path <path>', 'with --seed: only the counterexample of which that was said')
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
    .option('--save <dir>', 'where counterexamples are saved', 'counterexamples')
    .option('--no-save', 'do not save counterexamples')
    .option('--junit <file>', 'write the results as JUnit XML too')
    .option('--json', 'the results as JSON on standard output')
    .action(async (files: readonly string[], options: TestOptions) => {
      const output = createOutput(options.json === true, streams);
      if (options.path !== undefined && options.seed === undefined)
        throw new UsageError('--path means nothing without --seed', 'give the two that were printed together');
      if (options.junit !== undefined) checkPlace(options.junit);
      const checked = files.map((file) => ({ file, checked: orEnd(checkFile(file), output) }));
      refuseStrangers(checked, options);
      const device = await deviceFor(options, output);
      try {
        const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
        const tested: TestedFile[] = [];
        for (const each of checked) tested.push(await testFile(each, { ...options, seed }, device, output));
        if (options.junit !== undefined) writeFileBeside(options.junit, junitText(tested));
        output.data(summaryLines(tested, seed).join('\n'), reportJson(tested, seed));
        const reports = tested.flatMap(({ reports }) => reports);
        if (reports.some(({ outcome }) => outcome.kind !== 'passed')) throw new Ended(exitStatus.diagnostic);
      } finally {
        device?.destroy();
      }
    });
}
