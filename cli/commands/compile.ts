import { type Command, Option } from 'commander';
import { writePackage } from '../../compiler/plan/package-files.ts';
import { bytesText } from '../../compiler/plan/storage-bytes.ts';
import {
  compileFor,
  type Instance,
  type Lowered,
  lower,
  showDevice,
  showGraph,
  showSource,
} from '../../driver/compile.ts';
import { type DeviceStage, isGraphStage, isSourceStage, type Stage, stages } from '../../driver/stages.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { openDevice } from '../../runtime/webgpu/device.ts';
import { UsageError } from '../exit.ts';
import { createOutput, type Output } from '../output.ts';
import type { Streams } from '../streams.ts';
import { counted } from '../table.ts';
import { type EntryOptions, orEnd, prepareEntry, withEntryOptions } from './entry-options.ts';

interface CompileOptions extends EntryOptions {
  readonly target: 'wgsl';
  readonly adapter: 'auto' | 'hardware' | 'software';
  readonly output?: string;
  readonly show?: Stage;
}

export function addCompile(command: Command, streams: Streams): void {
  withEntryOptions(
    command
      .command('compile')
      .description('compile an entry to an executable package, for the adapter of this machine')
      .argument('<file>', 'a .ricci file'),
  )
    .addOption(new Option('--target <target>', 'what to compile to').choices(['wgsl']).default('wgsl'))
    .addOption(
      new Option('--adapter <kind>', 'the adapter to compile for')
        .choices(['auto', 'hardware', 'software'])
        .default('auto'),
    )
    .option('-o, --output <dir>', 'the directory to write')
    .addOption(
      new Option('--show <stage>', 'print the program at a stage, and write nothing').choices(stages),
    )
    .action(async (file: string, options: CompileOptions) => {
      const output = createOutput(options.json === true, streams);
      const { show } = options;
      if ((options.output === undefined) === (show === undefined)) {
        throw new UsageError(
          show === undefined ? 'nothing to do' : '--show writes no package',
          'give -o DIR to write a package, or --show STAGE to look at a stage',
        );
      }
      if (isSourceStage(show)) return showText(show, orEnd(showSource[show](file), output).text, output);
      const { checked, instance } = prepareEntry(file, options, output);
      const lowered = orEnd(lower(checked, instance, output.advance), output);
      if (isGraphStage(show)) return showText(show, showGraph[show](lowered), output);
      await compileOnDevice(lowered, instance, { ...options, show }, output);
    });
}

async function compileOnDevice(
  lowered: Lowered,
  instance: Instance,
  options: Pick<CompileOptions, 'adapter' | 'output'> & { readonly show: DeviceStage | undefined },
  output: Output,
): Promise<void> {
  const opened = await openDevice(await openAdapter({ kind: options.adapter, report: output.progress }));
  try {
    const compiled = compileFor(lowered, instance, opened.profile, output.advance);
    if (options.show !== undefined) showText(options.show, showDevice[options.show](compiled), output);
    if (options.output === undefined) return;
    await writePackage(options.output, compiled.package);
    const { kernels, peakBytes } = compiled.package.manifest;
    output.data(
      `${options.output}: ${counted(kernels.length, 'kernel')}, ${bytesText(peakBytes)} of device memory`,
      {
        package: options.output,
        kernels: kernels.length,
        peakBytes,
      },
    );
  } finally {
    opened.destroy();
  }
}

function showText(stage: Stage, text: string, output: Output): void {
  output.data(text, { stage, text });
}
