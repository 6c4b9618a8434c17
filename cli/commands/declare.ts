import type { Command } from 'commander';
import { checkFile } from '../../driver/compile.ts';
import { declareEntries } from '../../driver/declarations.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import { Ended, exitStatus } from '../exit.ts';
import { createOutput } from '../output.ts';

export function addDeclare(command: Command): void {
  command
    .command('declare')
    .description('write the TypeScript declarations of files: NAME.ricci.d.ts beside each')
    .argument('<file...>', 'Ricci source files')
    .option('--stdout', 'print them instead')
    .option('--json', 'the result as JSON on standard output')
    .action((files: readonly string[], options: { stdout?: boolean; json?: boolean }) => {
      const output = createOutput(options.json === true);
      const written = files.map((file) => {
        const checked = checkFile(file);
        if (checked.kind === 'rejected') {
          output.diagnostics(checked.diagnostics, checked.sources);
          throw new Ended(exitStatus.diagnostic);
        }
        return { file, text: declareEntries(checked.program, file.replace(/^.*\//, '')) };
      });
      if (!options.stdout) for (const { file, text } of written) writeFileBeside(`${file}.d.ts`, text);
      const shown = written.map(({ file, text }) => (options.stdout ? text : `${file}.d.ts`));
      output.data(shown.join('\n'), {
        declarations: written.map(({ file, text }) => ({ file: `${file}.d.ts`, text })),
      });
    });
}
