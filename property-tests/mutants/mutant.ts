/** A planted fault: a change of the compiler's own text, and what must notice it. */
import type { OpenedDevice } from '../../runtime/webgpu/device.ts';

/** Each is a file in `oracles/`. */
export const oracleNames = [
  'optimizer',
  'small-programs',
  'partition',
  'collectives',
  'rings',
  'auto',
  'mesh-programs',
  'placed-programs',
  'without-collective',
  'attention-rings',
  'exchanges',
  'kernels',
  'barriers',
  'wasm',
  'ptx',
  'allowed',
  'emulator',
  'schedules',
  'adversarial',
  'bounded',
] as const;
export type OracleName = (typeof oracleNames)[number];

export interface Mutant {
  /** What the compiler does wrong: `merges sorts of both directions`. */
  readonly fault: string;
  /** From the root. */
  readonly file: string;
  /** Stands once in the file. */
  readonly from: string;
  readonly to: string;
  readonly caughtBy: OracleName;
  /** Cases of the oracle that notice it, as far as is known: they are tried first. */
  readonly on: readonly string[];
}

/** `[fault, text, text in its place, cases…]` */
export type Change = readonly [fault: string, from: string, to: string, ...on: readonly string[]];

/** Faults in one file, noticed by one oracle. */
export function inFile(file: string, caughtBy: OracleName, ...changes: readonly Change[]): readonly Mutant[] {
  return changes.map(([fault, from, to, ...on]) => ({ fault, file, from, to, caughtBy, on }));
}

/** What notices faults, case by case. */
export interface Oracle {
  /** Those to try where none that a mutant names notices it; none where the mutants name all there are. */
  readonly cases: readonly string[];
  /** What is wrong with the compiler; undefined when nothing is. The device is not mutated with it. */
  readonly check: (name: string, device: OpenedDevice) => string | undefined | Promise<string | undefined>;
}

/** Names of so many random programs. */
export function numbered(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `program ${at}`);
}

/** The number in the name. */
export function numberOf(name: string): number {
  return Number(name.replace('program ', ''));
}
