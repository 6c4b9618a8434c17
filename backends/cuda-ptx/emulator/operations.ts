/** What the lanes of a warp do together: one table, typed by the instructions. */
import type { OpOfUnit } from '../instructions.ts';
import { atomicRules } from './atomics.ts';
import { barrierRules } from './barriers.ts';
import { copyRules } from './copies.ts';
import { crossLaneRules } from './cross-lane.ts';
import { matrixRules } from './matrices.ts';
import type { Operation } from './operation.ts';

export const operations: { readonly [O in OpOfUnit<'warp'>]: Operation } = {
  ...crossLaneRules,
  ...atomicRules,
  ...barrierRules,
  ...copyRules,
  ...matrixRules,
};
