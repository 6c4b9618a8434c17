#!/usr/bin/env node
import { runCommand } from './command.ts';
import { exitStatus } from './exit.ts';

/** The reader of a pipe has left; what is written after that finds the stream destroyed. */
const readerLeft = ['EPIPE', 'ERR_STREAM_DESTROYED'];

/**
 * A reader that has seen enough (`ricci explain … | head -1`) is no failure: the work goes on, to write what
 * it writes and to end with its own status. Anything else that happens to the stream is said, once, on the
 * other one.
 */
function endOnBrokenStream(name: string, stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (readerLeft.includes(error.code ?? '')) return;
    if (stream !== process.stderr) process.stderr.write(`error: cannot write to ${name}: ${error.message}\n`);
    process.exit(exitStatus.diagnostic);
  });
}

endOnBrokenStream('standard output', process.stdout);
endOnBrokenStream('standard error', process.stderr);
process.exitCode = await runCommand(process.argv.slice(2));
