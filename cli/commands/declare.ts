import { basename } from 'node:path';
import type { Command } from 'commander';
import { checkFile } from '../../driver/check.ts';
import { declareEntries } from '../../driver/declarations.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import { createOutput } from '../output.ts';
import type { Streams } from '../streams.ts';
import { orEnd } from './entry-options.ts';

export function addDeclare(command: Command, streams: Streams): void {
  command
    .command('declare')
    .description('write the TypeScript declarations of files: NAME.ricci.d.ts beside each')
    .argument('<file...>', 'Ricci source files')
    .option('--stdout', 'print them instead')
    .option('--json', 'the result as JSON on standard output')
    .action((files: readonly string[], options: { stdout?: boolean; json?: boolean }) => {
      const output = createOutput(options.json === true, streams);
      const declarations = files.map((file) => {
        const { program } = orEnd(checkFile(file), output);
        return { file: `${file}.d.ts`, text: declareEntries(program, basename(file)) };
      });
      if (!options.stdout) for (const { file, text } of declarations) writeFileBeside(file, text);
      const shown = declarations.map(({ file, text }) => (options.stdout ? text : file));
      output.data(shown.join('\n'), { declarations });
    });
}
