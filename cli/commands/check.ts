import type { Command } from 'commander';
import { checkFile } from '../../driver/compile.ts';
import { Ended, exitStatus } from '../exit.ts';
import { createOutput } from '../output.ts';

export function addCheck(command: Command): void {
  command
    .command('check')
    .description('check types and placements')
    .argument('<file...>', 'Ricci source files')
    .option('--json', 'diagnostics as JSON on standard output')
    .action((files: readonly string[], options: { json?: boolean }) => {
      const output = createOutput(options.json === true);
      const outcomes = files.map((file) => ({ file, outcome: checkFile(file) }));
      for (const { outcome } of outcomes) {
        if (outcome.kind === 'rejected') output.diagnostics(outcome.diagnostics, outcome.sources);
      }
      const rejected = outcomes.filter(({ outcome }) => outcome.kind === 'rejected');
      if (rejected.length > 0) throw new Ended(exitStatus.diagnostic);
      output.data('', { checked: files });
    });
}
