/** The launch order with its loops run through: what a device is told to do, one command after the other. */

import { UserError } from '../../dsl/diagnostics/user-error.ts';
import type { ExchangeStep, LaunchStep, PackageKernel } from './package.ts';
import { wordBytes } from './storage-bytes.ts';

/** Bytes from one entry of the uniform buffer to the next: WebGPU's alignment of dynamic offsets. */
export const uniformStride = 256;

/** Buffers are named by the slot that they were made for. `uniform` is an entry of `Expansion.uniforms`. */
export type Command =
  | {
      readonly kind: 'dispatch';
      readonly kernel: string;
      readonly buffers: readonly number[];
      /** Present when the kernel takes loop counters or coordinates. */
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
    }
  /** All devices of a group together: between the buffers `from` and `to` of each. */
  | { readonly kind: 'exchange'; readonly step: ExchangeStep; readonly from: number; readonly to: number };

/** At most four 32-bit words: numbers, then the coordinates of the device along mesh axes. */
export interface UniformEntry {
  readonly words: readonly number[];
  readonly axes: readonly string[];
}

export interface Expansion {
  readonly commands: readonly Command[];
  /** No two are equal. */
  readonly uniforms: readonly UniformEntry[];
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

/** What is looked at of a manifest. */
export interface Launches {
  readonly steps: readonly LaunchStep[];
  readonly slots: readonly unknown[];
  readonly kernels: readonly Pick<PackageKernel, 'name' | 'coordinates'>[];
}

/** @throws UserError `exceeds-device` when there are more than `maxCommands`. */
export function expandSteps({ steps, slots, kernels }: Launches): Expansion {
  const count = commandCount(steps);
  if (count > maxCommands)
    throw new UserError(
      'exceeds-device',
      `the program would launch ${count} kernels and copies, and ${maxCommands} are supported`,
      'use loops of fewer steps, or --target reference',
    );
  const commands: Command[] = [];
  const uniforms = new Map<string, UniformEntry & { readonly index: number }>();
  const buffer = slots.map((_, slot) => slot);
  const coordinates = new Map(kernels.map(({ name, coordinates = [] }) => [name, coordinates]));
  const counter = new Map<number, number>();

  const uniform = (words: readonly number[], axes: readonly string[] = []): number => {
    const key = JSON.stringify([words, axes]);
    const entry = uniforms.get(key) ?? { index: uniforms.size, words, axes };
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
        case 'dispatch': {
          const axes = coordinates.get(step.kernel) ?? [];
          const words = step.counters.map((loop) => counter.get(loop)!);
          commands.push({
            kind: 'dispatch',
            kernel: step.kernel,
            buffers: step.slots.map((slot) => buffer[slot]!),
            uniform: words.length + axes.length === 0 ? undefined : uniform(words, axes),
          });
          break;
        }
        case 'copy': {
          const toByte = step.sliceOf === undefined ? 0 : counter.get(step.sliceOf)! * step.bytes;
          commands.push(copy(buffer[step.from]!, buffer[step.to]!, step.bytes, toByte));
          break;
        }
        case 'exchange':
          commands.push({ kind: 'exchange', step, from: buffer[step.from]!, to: buffer[step.to]! });
          break;
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
  const entries = [...uniforms.values()].map(({ words, axes }) => ({ words, axes }));
  return { commands, uniforms: entries, finalBuffer: buffer };
}
