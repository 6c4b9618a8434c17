/** What is known of the choices for problems of one kind. */
import type { DeviceProfile } from '../device-profile.ts';
import type { Choice } from './choice.ts';

export interface Choosing<P, C extends Choice> {
  /** What is taken without tuning. */
  readonly first: (problem: P, device: DeviceProfile) => C;
  /** All that the device can run, each once; the first choice is one of them. */
  readonly all: (problem: P, device: DeviceProfile) => readonly C[];
}

/** That all cores have some to the end. */
export const fewestWorkgroups = 16;

/** The least power of two that is at least `extent`, but no more than `most`. */
export function powerFor(extent: number, most: number): number {
  return Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(1, extent))));
}

/** 1, 2, 4 … up to `most`. */
export function powersTo(most: number): readonly number[] {
  return Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, power) => 2 ** power);
}
