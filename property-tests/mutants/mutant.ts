/** A planted fault: a change of the compiler's own text, and what must notice it. */
import type { OpenedDevice } from '../../runtime/webgpu/device.ts';

/** Each is a file in `oracles/`. */
export const oracleNames = [
  'rules',
  'optimizer',
  'small-programs',
  'partition',
  'collectives',
  'rings',
  'auto',
  'mesh-programs',
  'attention-rings',
  'exchanges',
  'kernels',
  'wasm',
  'adversarial',
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
  /** What the oracle looks at, where not at all that it can. */
  readonly on: readonly string[];
}

/** `[fault, text, text in its place]` */
export type Change = readonly [fault: string, from: string, to: string, ...on: readonly string[]];

/** Faults in one file, noticed by one oracle. */
export function inFile(file: string, caughtBy: OracleName, ...changes: readonly Change[]): readonly Mutant[] {
  return changes.map(([fault, from, to, ...on]) => ({ fault, file, from, to, caughtBy, on }));
}

/** What an oracle is given: what is not to be mutated with the compiler. */
export interface Surroundings {
  readonly device: OpenedDevice;
  readonly on: readonly string[];
}

/** What is wrong with the compiler; undefined when nothing is. */
export type Oracle = (around: Surroundings) => string | undefined | Promise<string | undefined>;
