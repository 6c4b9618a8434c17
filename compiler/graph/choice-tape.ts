/**
 * Random choices: read from a tape, so that what is made of them shrinks as its numbers do, or from a seed.
 */
import { threefry2x32 } from './threefry.ts';

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

/** Choices of its own for every key: those of one thing stay when another is left out. */
export type ChooseFor = (key: string) => Choose;

/** The choices of a key go on where they were left. */
export function choicesOf(seed: number): ChooseFor {
  const made = new Map<string, Choose>();
  return (key) => {
    const known = made.get(key) ?? seeded(seed, key);
    made.set(key, known);
    return known;
  };
}

function seeded(seed: number, key: string): Choose {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  let next = 0;
  return (bound) => threefry2x32(seed >>> 0, hash >>> 0, next++, 0)[0] % bound;
}

export function shuffled<T>(choose: Choose, items: readonly T[]): readonly T[] {
  const left = [...items];
  return items.map(() => left.splice(choose(left.length), 1)[0]!);
}
