/** `ricci emulate`: a kernel in PTX, run on the processor and watched for what it may not do. */
import type { Command } from 'commander';
import { parseSeed } from '../options.ts';
import type { Streams } from '../streams.ts';
import type { EmulateOptions } from './run-kernel.ts';

const append = (text: string, before: readonly string[]): readonly string[] => [...before, text];

export function addEmulate(command: Command, streams: Streams): void {
  command
    .command('emulate')
    .description('run a kernel in PTX on the processor, and find what it does that it may not')
    .argument('<file>', 'PTX, as nvcc or Ricci writes it')
    .option('--kernel <name>', 'which kernel, where the file has several')
    .option('--grid <extents>', 'blocks: 4, 4,2 or 4,2,1', '1')
    .option('--block <extents>', 'threads of a block', '32')
    .option('--shared <bytes>', 'dynamic shared memory', '0')
    .option(
      '--arg <argument>',
      'the next parameter: NUMBER, DTYPE(NUMBER, …)+… for a structure, FILE.npy, DTYPE[SHAPE] for a result, DTYPE[SHAPE]=NUMBER or =random; NAME= before it names it',
      append,
      [],
    )
    .option('--random <seed>', 'of the arguments that are random', parseSeed, 1)
    .option('--copies <when>', 'asynchronous copies arrive late, early, or at random times by a seed', 'late')
    .option('--checks <which>', 'all, shared (no races in global memory), memory (no races) or none', 'all')
    .option('--most <instructions>', 'of all threads of a cluster: with more it has no end', '1e10')
    .option('-o, --output <NAME=FILE.npy>', 'write a buffer as the kernel left it', append, [])
    .option('--json', 'the result as JSON on standard output')
    .action(async (file: string, options: EmulateOptions) => {
      const { emulate } = await import('./run-kernel.ts');
      emulate(file, options, streams);
    });
}
