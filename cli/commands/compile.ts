import { type Command, Option } from 'commander';
import { writePackage } from '../../compiler/plan/package-files.ts';
import { compileFor, lower, showStage } from '../../driver/compile.ts';
import { readSource } from '../../driver/module-loader.ts';
import { type Stage, stages } from '../../driver/stages.ts';
import { format } from '../../dsl/syntax/format.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import { UserError } from '../../runtime/errors.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { openDevice } from '../../runtime/webgpu/device.ts';
import { createOutput } from '../output.ts';
import { type EntryOptions, orEnd, prepareEntry, withEntryOptions } from './entry-options.ts';

interface CompileOptions extends EntryOptions {
  readonly target: 'wgsl';
  readonly adapter: 'auto' | 'hardware' | 'software';
  readonly output?: string;
  readonly show?: Stage;
}

export function addCompile(command: Command): void {
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
    .addOption(new Option('--show <stage>', 'print the program at a stage').choices(stages))
    .action(async (file: string, options: CompileOptions) => {
      const output = createOutput(options.json === true);
      if (options.output === undefined && options.show === undefined) {
        throw new UserError(
          'wrong-input',
          'nothing to do',
          'give -o DIR to write a package, or --show STAGE',
        );
      }
      const { checked, instance } = prepareEntry(file, options, output);
      if (options.show === 'tree') {
        const source = readSource(file);
        const text = source === undefined ? '' : format(parse(source).module, source.text);
        output.data(text, { stage: 'tree', text });
        return;
      }
      const lowered = orEnd(lower(checked, instance), output);
      const opened = await openDevice(await openAdapter({ kind: options.adapter, report: output.progress }));
      try {
        const compiled = compileFor(lowered, instance, opened.profile);
        if (options.output !== undefined) await writePackage(options.output, compiled.package);
        const shown = options.show === undefined ? undefined : showStage[options.show](lowered, compiled);
        const { kernels, peakBytes } = compiled.package.manifest;
        const summary = `${options.output}: ${kernels.length} kernels, ${peakBytes} bytes of device memory`;
        output.data(shown ?? summary, {
          ...(shown === undefined ? {} : { stage: options.show, text: shown }),
          ...(options.output === undefined ? {} : { package: options.output }),
          kernels: kernels.length,
          peakBytes,
        });
      } finally {
        opened.destroy();
      }
    });
}
