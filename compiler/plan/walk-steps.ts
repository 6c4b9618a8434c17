/** The launch order with its loops run through, one launch after the other. */
import type { ExchangeStep, LaunchStep } from './package.ts';

/** Buffers are named by the slot that they were made for: loops swap what is in slots. */
export type Launch =
  | {
      readonly kind: 'dispatch';
      readonly kernel: string;
      readonly buffers: readonly number[];
      /** Steps of the loops that the kernel takes. */
      readonly counters: readonly number[];
    }
  /** From the start of `from`. */
  | {
      readonly kind: 'copy';
      readonly from: number;
      readonly to: number;
      readonly toByte: number;
      readonly bytes: number;
    }
  /** All devices of a group together: between the buffers `from` and `to` of each. */
  | { readonly kind: 'exchange'; readonly step: ExchangeStep; readonly from: number; readonly to: number };

/**
 * @param slots How many there are.
 * @returns The slot whose buffer holds what is in the n-th slot at the end, after all swaps.
 */
export function walkSteps(
  steps: readonly LaunchStep[],
  slots: number,
  visit: (launch: Launch) => void,
): readonly number[] {
  const launches = launchesOf(steps, slots);
  for (;;) {
    const next = launches.next();
    if (next.done) return next.value;
    visit(next.value);
  }
}

/** As `walkSteps`, for whoever does something else between one launch and the next. */
export function* launchesOf(
  steps: readonly LaunchStep[],
  slots: number,
): Generator<Launch, readonly number[]> {
  const buffer = Array.from({ length: slots }, (_, slot) => slot);
  const counter = new Map<number, number>();
  function* walk(inside: readonly LaunchStep[]): Generator<Launch, void> {
    for (const step of inside) {
      switch (step.kind) {
        case 'dispatch':
          yield {
            kind: 'dispatch',
            kernel: step.kernel,
            buffers: step.slots.map((slot) => buffer[slot]!),
            counters: step.counters.map((loop) => counter.get(loop)!),
          };
          break;
        case 'copy': {
          const { bytes, sliceOf } = step;
          const toByte = sliceOf === undefined ? 0 : counter.get(sliceOf)! * bytes;
          yield { kind: 'copy', from: buffer[step.from]!, to: buffer[step.to]!, toByte, bytes };
          break;
        }
        case 'exchange':
          yield { kind: 'exchange', step, from: buffer[step.from]!, to: buffer[step.to]! };
          break;
        case 'loop':
          for (let at = 0; at < step.count; at++) {
            counter.set(step.loop, at);
            yield* walk(step.steps);
            for (const [first, second] of step.swaps)
              [buffer[first], buffer[second]] = [buffer[second]!, buffer[first]!];
          }
          break;
      }
    }
  }
  yield* walk(steps);
  return buffer;
}

/** How many launches the steps are, loops run through. */
export function launchCount(steps: readonly LaunchStep[]): number {
  return steps.reduce(
    (sum, step) => sum + (step.kind === 'loop' ? step.count * launchCount(step.steps) : 1),
    0,
  );
}
