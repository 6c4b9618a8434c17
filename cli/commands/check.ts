import type { Command } from 'commander';
import { checkFile, type Rejected } from '../../driver/check.ts';
import { Ended, exitStatus } from '../exit.ts';
import { createOutput } from '../output.ts';
import type { Streams } from '../streams.ts';

export function addCheck(command: Command, streams: Streams): void {
  command
    .command('check')
    .description('check types and placements')
    .argument('<file...>', 'Ricci source files')
    .option('--json', 'diagnostics as JSON on standard output')
    .action((files: readonly string[], options: { json?: boolean }) => {
      const output = createOutput(options.json === true, streams);
      const rejected = files
        .map(checkFile)
        .filter((outcome): outcome is Rejected => outcome.kind === 'rejected');
      if (rejected.length > 0) {
        const sources = new Map(rejected.flatMap((each) => [...each.sources]));
        output.diagnostics(
          rejected.flatMap(({ diagnostics }) => diagnostics),
          sources,
        );
        throw new Ended(exitStatus.diagnostic);
      }
      output.data('', { checked: files, diagnostics: [] });
    });
}
