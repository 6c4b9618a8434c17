/** The command as a function: arguments in, text and an exit status out. */
import { Command } from 'commander';
import { version } from '../driver/version.ts';
import { refuseAsRank, willBeRank } from './commands/as-rank.ts';
import { addCheck } from './commands/check.ts';
import { addCompile } from './commands/compile.ts';
import { addDeclare } from './commands/declare.ts';
import { addEmulate } from './commands/emulate.ts';
import { addExplain } from './commands/explain.ts';
import { addFormat } from './commands/format.ts';
import { addRun } from './commands/run.ts';
import { addTest } from './commands/test.ts';
import { addTune } from './commands/tune.ts';
import { type ExitStatus, exitStatus, isWrongUsage, reportFailure } from './exit.ts';
import { createOutput } from './output.ts';
import { heldBack, processStreams, type Streams } from './streams.ts';

/** In the order in which `--help` lists them. */
const commands = [
  addCheck,
  addFormat,
  addExplain,
  addCompile,
  addRun,
  addTune,
  addTest,
  addDeclare,
  addEmulate,
];

const exitHelp = `
Exit status: 0 fine; 1 a diagnostic: the program, its inputs or the machine; 2 wrong usage; 70 an internal
error.
Data goes to standard output, progress and diagnostics to standard error. NO_COLOR turns colours off.`;

/** @param args without the names of node and of the script. Never throws. */
export async function runCommand(
  args: readonly string[],
  streams: Streams = processStreams,
): Promise<ExitStatus> {
  const json = args.includes('--json');
  const communicator = willBeRank(args, process.env);
  const held = heldBack(streams);
  const own = communicator === undefined ? streams : held.streams;
  const command = new Command('ricci')
    .description('A typed functional dataflow language for models, and its compiler')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.out.write(text),
      writeErr: (text) => (json ? undefined : own.err.write(text)),
    })
    .showHelpAfterError('(add --help for the options)')
    .addHelpText('after', exitHelp);
  // Made after the settings above, which the commands inherit.
  for (const add of commands) add(command, streams);
  try {
    await command.parseAsync(args, { from: 'user' });
    return exitStatus.fine;
  } catch (error) {
    const status = reportFailure(error, createOutput(json, own));
    if (communicator !== undefined && isWrongUsage(error))
      await refuseAsRank(communicator, error, held.release);
    else held.release();
    return status;
  }
}
