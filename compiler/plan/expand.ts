/** The launch order with its loops run through: what a device is told to do, one command after the other. */

import { UserError } from '../../dsl/diagnostics/user-error.ts';
import type { LaunchStep, PackageKernel } from './package.ts';
import { wordBytes } from './storage-bytes.ts';
import { type Launch, launchCount, walkSteps } from './walk-steps.ts';

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
  | Extract<Launch, { readonly kind: 'exchange' }>;

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

/** What is looked at of a manifest. */
export interface Launches {
  readonly steps: readonly LaunchStep[];
  readonly slots: readonly unknown[];
  readonly kernels: readonly Pick<PackageKernel, 'name' | 'coordinates'>[];
}

/** @throws UserError `exceeds-device` when there are more than `maxCommands`. */
export function checkLaunches(steps: readonly LaunchStep[]): void {
  const count = launchCount(steps);
  if (count > maxCommands)
    throw new UserError(
      'exceeds-device',
      `the program would launch ${count} kernels and copies, and ${maxCommands} are supported`,
      'use loops of fewer steps, or --target reference',
    );
}

/** @throws UserError `exceeds-device` when there are more than `maxCommands`. */
export function expandSteps({ steps, slots, kernels }: Launches): Expansion {
  checkLaunches(steps);
  const commands: Command[] = [];
  const uniforms = new Map<string, UniformEntry & { readonly index: number }>();
  const coordinates = new Map(kernels.map(({ name, coordinates = [] }) => [name, coordinates]));
  const uniform = (words: readonly number[], axes: readonly string[] = []): number => {
    const key = JSON.stringify([words, axes]);
    const entry = uniforms.get(key) ?? { index: uniforms.size, words, axes };
    uniforms.set(key, entry);
    return entry.index;
  };
  const commandOf = (launch: Launch): Command => {
    switch (launch.kind) {
      case 'dispatch': {
        const { kernel, buffers, counters } = launch;
        const axes = coordinates.get(kernel) ?? [];
        const takesAny = counters.length + axes.length > 0;
        return { kind: 'dispatch', kernel, buffers, uniform: takesAny ? uniform(counters, axes) : undefined };
      }
      case 'copy': {
        const { from, to, toByte, bytes } = launch;
        if (bytes % wordBytes === 0 && toByte % wordBytes === 0) return launch;
        return { kind: 'copyBytes', from, to, bytes, uniform: uniform([toByte, bytes]) };
      }
      case 'exchange':
        return launch;
    }
  };
  const finalBuffer = walkSteps(steps, slots.length, (launch) => commands.push(commandOf(launch)));
  const entries = [...uniforms.values()].map(({ words, axes }) => ({ words, axes }));
  return { commands, uniforms: entries, finalBuffer };
}
