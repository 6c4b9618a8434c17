#!/usr/bin/env node
import { runCommand } from './command.ts';
import { exitStatus } from './exit.ts';

/**
 * A reader that has seen enough (`ricci explain … | head -1`) is no failure, and there is no one left to tell. Anything
 * else that happens to the stream is said, once, on the other one.
 */
function endOnBrokenStream(name: string, stream: NodeJS.WriteStream): void {
  stream.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitStatus.fine);
    if (stream !== process.stderr) process.stderr.write(`error: cannot write to ${name}: ${error.message}\n`);
    process.exit(exitStatus.diagnostic);
  });
}

endOnBrokenStream('standard output', process.stdout);
endOnBrokenStream('standard error', process.stderr);
process.exitCode = await runCommand(process.argv.slice(2));
