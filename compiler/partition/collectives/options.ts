/** What the passes over collectives may do. */
import type { Links } from '../traffic.ts';

export interface CollectiveOptions {
  /** Names of passes to leave out. */
  readonly skip: ReadonlySet<string>;
  /** Whether sums of floats may be taken in another order: results then differ in their last bits. */
  readonly reassociates: boolean;
  /** What the loop-invariant results that are held through one loop may take of each device's memory. */
  readonly hoistedBytes: number;
  /** Exchanges that send at most so many bytes are merged; 0: none are. */
  readonly mergedBytes: number;
  /** Where products may be taken block by block while the next block travels; undefined: nowhere. */
  readonly rings: RingCosts | undefined;
}

/** What a ring is weighed by. */
export interface RingCosts {
  readonly links: Links;
  /** Multiplications and additions of a device. */
  readonly flopsPerSecond: number;
  /** To start a kernel: a ring starts one a turn. */
  readonly launchSeconds: number;
}

/**
 * What is done to every program, written by hand or not: nothing that changes a bit of a result, or adds to
 * what any axis carries.
 */
export const exactOptions: CollectiveOptions = {
  skip: new Set(),
  reassociates: false,
  hoistedBytes: 2 ** 26,
  mergedBytes: 0,
  rings: undefined,
};
