/** A tape of numbers read as choices, so that what is made of them shrinks as the numbers do. */

/** A choice of a number below `bound`, 0 being the simplest. */
export type Choose = (bound: number) => number;

/** Beyond its end the tape says 0. */
export function readTape(tape: readonly number[]): Choose {
  let next = 0;
  return (bound) => (tape[next++] ?? 0) % bound;
}

export function pick<T>(choose: Choose, from: readonly T[]): T {
  return from[choose(from.length)]!;
}
