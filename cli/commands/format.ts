import type { Command } from 'commander';
import { readSource } from '../../driver/module-loader.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import { format } from '../../dsl/syntax/format.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import { UserError } from '../../runtime/errors.ts';
import { Ended, exitStatus } from '../exit.ts';
import { createOutput } from '../output.ts';

export function addFormat(command: Command): void {
  command
    .command('fmt')
    .description('format files in place')
    .argument('<file...>', 'Ricci source files')
    .option('--check', 'change nothing; exit 1 if a file is not formatted')
    .option('--json', 'the result as JSON on standard output')
    .action((files: readonly string[], options: { check?: boolean; json?: boolean }) => {
      const output = createOutput(options.json === true);
      let rejected = false;
      const changed: string[] = [];
      for (const path of files) {
        const source = readSource(path);
        if (source === undefined) {
          throw new UserError('file-access', `${path}: cannot be read`, 'give the path of a .ricci file');
        }
        const { module, diagnostics } = parse(source);
        if (diagnostics.length > 0) {
          output.diagnostics(diagnostics, new Map([[path, source.text]]));
          rejected = true;
          continue;
        }
        const text = format(module, source.text);
        if (text === source.text) continue;
        changed.push(path);
        if (!options.check) writeFileBeside(path, text);
      }
      const verb = options.check ? 'is not formatted' : 'formatted';
      output.data(changed.map((path) => `${path}: ${verb}`).join('\n'), { changed });
      if (rejected || (options.check && changed.length > 0)) throw new Ended(exitStatus.diagnostic);
    });
}
