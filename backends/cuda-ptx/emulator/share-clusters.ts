/**
 * How threads share the clusters of a grid: each takes the next, until there is none, or until one of a lower
 * number ended with a fault: so the fault of the first cluster that has one is found, however many run.
 */

import type { GridRunner } from './grid.ts';
import { clusterCount } from './grid-plan.ts';
import { control, noFault } from './layout.ts';
import type { Printed } from './machine.ts';

/** What a thread did of a grid. */
export interface Share {
  readonly instructions: number;
  /** Of the cluster with this number. */
  readonly fault: { readonly number: number; readonly error: unknown } | undefined;
  readonly printed: readonly Printed[];
}

/** @param isOver whether the thread is to leave what is left to others. */
export function runShare(runner: GridRunner, words: Int32Array, isOver: () => boolean = () => false): Share {
  const count = clusterCount(runner.plan);
  const before = runner.printed.length;
  let instructions = 0;
  while (!isOver()) {
    const number = Atomics.add(words, control.next, 1);
    if (number >= count || number > Atomics.load(words, control.fault)) break;
    try {
      instructions += runner.run(number);
    } catch (error) {
      lower(words, number);
      return { instructions, fault: { number, error }, printed: runner.printed.slice(before) };
    }
  }
  return { instructions, fault: undefined, printed: runner.printed.slice(before) };
}

/** Whoever is at a cluster leaves it. */
export function abandonGrid(words: Int32Array): void {
  lower(words, -1);
}

function lower(words: Int32Array, number: number): void {
  for (;;) {
    const known = Atomics.load(words, control.fault);
    if (known <= number) return;
    if (Atomics.compareExchange(words, control.fault, known, number) === known) return;
  }
}

/** Before the first cluster. */
export function beginGrid(words: Int32Array): void {
  Atomics.store(words, control.next, 0);
  Atomics.store(words, control.fault, noFault);
  Atomics.store(words, control.lock, 0);
}
