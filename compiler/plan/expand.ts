/** The launch order with its loops run through: what a device is told to do, one command after the other. */

import { UserError } from '../../dsl/diagnostics/user-error.ts';
import type { LaunchStep } from './package.ts';
import { wordBytes } from './storage-bytes.ts';

/** Bytes from one entry of the uniform buffer to the next: WebGPU's alignment of dynamic offsets. */
export const uniformStride = 256;

/** Buffers are named by the slot that they were made for. `uniform` is an entry of `Expansion.uniforms`. */
export type Command =
  | {
      readonly kind: 'dispatch';
      readonly kernel: string;
      readonly buffers: readonly number[];
      /** Present when the kernel takes loop counters. */
      readonly uniform: number | undefined;
    }
  /** Whole words, so that the device's own copy serves. */
  | {
      readonly kind: 'copy';
      readonly from: number;
      readonly to: number;
      readonly toByte: number;
      readonly bytes: number;
    }
  /**
   * From the start of `from` to bytes that do not begin or end at a word: the uniform is (first byte, bytes).
   */
  | {
      readonly kind: 'copyBytes';
      readonly from: number;
      readonly to: number;
      readonly bytes: number;
      readonly uniform: number;
    };

export interface Expansion {
  readonly commands: readonly Command[];
  /** Each at most four 32-bit words; no two are equal. */
  readonly uniforms: readonly (readonly number[])[];
  /** The slot whose buffer holds what is in the n-th slot at the end, after all swaps. */
  readonly finalBuffer: readonly number[];
}

/** More take minutes to record and gigabytes to hold. */
const maxCommands = 2 ** 20;

/** How many commands the steps are, loops run through. */
export function commandCount(steps: readonly LaunchStep[]): number {
  return steps.reduce(
    (sum, step) => sum + (step.kind === 'loop' ? step.count * commandCount(step.steps) : 1),
    0,
  );
}

/** @throws UserError `exceeds-device` when there are more than `maxCommands`. */
export function expandSteps(steps: readonly LaunchStep[], slotCount: number): Expansion {
  const count = commandCount(steps);
  if (count > maxCommands)
    throw new UserError(
      'exceeds-device',
      `the program would launch ${count} kernels and copies, and ${maxCommands} are supported`,
      'use loops of fewer steps, or --target reference',
    );
  const commands: Command[] = [];
  const uniforms = new Map<string, { readonly index: number; readonly words: readonly number[] }>();
  const buffer = Array.from({ length: slotCount }, (_, slot) => slot);
  const counter = new Map<number, number>();

  const uniform = (words: readonly number[]): number => {
    const key = words.join();
    const entry = uniforms.get(key) ?? { index: uniforms.size, words };
    uniforms.set(key, entry);
    return entry.index;
  };
  const copy = (from: number, to: number, bytes: number, toByte: number): Command =>
    bytes % wordBytes === 0 && toByte % wordBytes === 0
      ? { kind: 'copy', from, to, toByte, bytes }
      : { kind: 'copyBytes', from, to, bytes, uniform: uniform([toByte, bytes]) };
  const visit = (inside: readonly LaunchStep[]): void => {
    for (const step of inside) {
      switch (step.kind) {
        case 'dispatch':
          commands.push({
            kind: 'dispatch',
            kernel: step.kernel,
            buffers: step.slots.map((slot) => buffer[slot]!),
            uniform:
              step.counters.length === 0
                ? undefined
                : uniform(step.counters.map((loop) => counter.get(loop)!)),
          });
          break;
        case 'copy': {
          const toByte = step.sliceOf === undefined ? 0 : counter.get(step.sliceOf)! * step.bytes;
          commands.push(copy(buffer[step.from]!, buffer[step.to]!, step.bytes, toByte));
          break;
        }
        case 'loop':
          for (let at = 0; at < step.count; at++) {
            counter.set(step.loop, at);
            visit(step.steps);
            for (const [first, second] of step.swaps)
              [buffer[first], buffer[second]] = [buffer[second]!, buffer[first]!];
          }
          break;
      }
    }
  };
  visit(steps);
  return { commands, uniforms: [...uniforms.values()].map((entry) => entry.words), finalBuffer: buffer };
}
