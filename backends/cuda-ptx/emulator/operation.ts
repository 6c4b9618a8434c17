import type { Machine, Warp } from './machine.ts';
import type { WarpInstruction } from './steps.ts';

/**
 * What becomes of the lanes that came to an instruction: they go on; they wait for others of their warp; or
 * the whole warp waits, and whoever wakes it has it go on.
 */
export type Outcome = 'next' | 'wait' | 'blocked';

/** @param lanes those that are here and for which the guard holds; never none. */
export type Operation = (
  machine: Machine,
  warp: Warp,
  lanes: number,
  instruction: WarpInstruction,
) => Outcome;
