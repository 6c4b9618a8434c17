/** What the lanes of a warp do together: one table, typed by the instructions. */
import type { OpOfUnit } from '../instructions.ts';
import { atomicRules } from './atomics.ts';
import { barrierRules } from './barriers.ts';
import { bulkRules } from './bulk-copies.ts';
import { stackRules } from './calls.ts';
import { clusterRules } from './clusters.ts';
import { copyRules } from './copies.ts';
import { crossLaneRules } from './cross-lane.ts';
import { matrixRules } from './matrices.ts';
import { mbarrierRules } from './mbarriers.ts';
import type { Operation } from './operation.ts';
import { warpgroupRules } from './warpgroups.ts';

export const operations: { readonly [O in OpOfUnit<'warp'>]: Operation } = {
  ...crossLaneRules,
  ...atomicRules,
  ...barrierRules,
  ...copyRules,
  ...matrixRules,
  ...mbarrierRules,
  ...bulkRules,
  ...warpgroupRules,
  ...clusterRules,
  ...stackRules,
};
