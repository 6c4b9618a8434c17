/** An entry as PTX, in the emulator, which refuses what a GPU might let pass. */
import type { PtxKernel } from '../backends/cuda-ptx/emit/kernel.ts';
import { type Argument, launch } from '../backends/cuda-ptx/emulator/launch.ts';
import { parsePtx } from '../backends/cuda-ptx/parse.ts';
import { type Command, expandSteps } from '../compiler/plan/expand.ts';
import { planLaunches } from '../compiler/plan/plan-launches.ts';
import { packedBytes } from '../compiler/plan/storage-bytes.ts';
import { compilePtx, type Lowered } from '../driver/compile.ts';
import type { Tensors } from './run-entry.ts';

export interface PtxProgram {
  readonly module: string;
  readonly kernels: readonly PtxKernel[];
  readonly run: (inputs: Tensors) => Tensors;
}

export function ptxProgram(lowered: Lowered): PtxProgram {
  const { schedule, kernels: written, module } = compilePtx(lowered, {}, 'sm_80');
  const { slots, steps, inputs, outputs, kernels } = planLaunches(lowered.optimized, schedule, written, {});
  const run = (given: Tensors): Tensors => {
    const parsed = parsePtx(module);
    const byName = new Map(kernels.map((kernel) => [kernel.name, kernel]));
    const memory = slots.map(({ bytes }) => new Uint8Array(bytes));
    const filled = new Set<number>();
    for (const { path, slot } of inputs) {
      memory[slot]!.set(given.get(path)!.bytes);
      filled.add(slot);
    }
    const { commands, uniforms, finalBuffer } = expandSteps({
      ...{ slots, steps },
      kernels: kernels.map(({ name, coordinates }) => ({
        name,
        ...(coordinates.length === 0 ? {} : { coordinates: [...coordinates] }),
      })),
    });
    const perform = (command: Command): void => {
      switch (command.kind) {
        case 'dispatch': {
          const kernel = byName.get(command.kernel)!;
          const buffers = command.buffers.map(
            (slot, at): Argument => ({
              kind: 'buffer',
              name: `buffer${at}`,
              bytes: memory[slot]!,
              isWritten: filled.has(slot),
            }),
          );
          const words = command.uniform === undefined ? [] : uniforms[command.uniform]!.words;
          launch({
            ...{ module: parsed, kernel: kernel.name, grid: kernel.grid, block: [kernel.block, 1, 1] },
            arguments: [...buffers, ...words.map((value): Argument => ({ kind: 'number', value }))],
          });
          for (const [at, { access }] of kernel.bindings.entries())
            if (access !== 'read') filled.add(command.buffers[at]!);
          return;
        }
        case 'copy':
        case 'copyBytes': {
          const first = command.kind === 'copy' ? command.toByte : uniforms[command.uniform]!.words[0]!;
          memory[command.to]!.set(memory[command.from]!.subarray(0, command.bytes), first);
          filled.add(command.to);
          return;
        }
        case 'exchange':
          throw new Error('one device exchanges nothing');
      }
    };
    for (const command of commands) perform(command);
    return new Map(
      outputs.map(({ path, dtype, shape, slot }) => {
        const bytes = memory[finalBuffer[slot]!]!.subarray(0, packedBytes({ dtype, shape }));
        return [path, { dtype, shape, bytes }];
      }),
    );
  };
  return { module, kernels, run };
}
