/** Where the warps of all blocks of a cluster meet. */
import { noteSynchronised } from './global-races.ts';
import type { Machine } from './machine.ts';
import type { Operation } from './operation.ts';

/** All warps that are left have come: a new phase begins, and each has heard of what the others did. */
export function settleCluster(machine: Machine): void {
  const { cluster, blocks } = machine;
  if (cluster.arrived === 0) return;
  const left = blocks.flatMap(({ warps }) => warps.filter(({ live }) => live !== 0)).length;
  if (cluster.arrived < left) return;
  cluster.arrived = 0;
  cluster.phase++;
  for (const { warps } of blocks) {
    machine.meet(warps, warps);
    noteSynchronised(machine, warps[0]!);
  }
}

const arrive: Operation = (machine, warp, lanes, instruction) => {
  if (lanes !== warp.live) return 'wait';
  if (warp.clusterPhase === machine.cluster.phase)
    throw machine.fault(
      'barrier mismatch',
      'arrives twice at the barrier of the cluster without a wait between',
      warp,
      0,
      instruction,
    );
  warp.clusterPhase = machine.cluster.phase;
  machine.cluster.arrived++;
  settleCluster(machine);
  return 'next';
};

const wait: Operation = (machine, warp, lanes, instruction) => {
  if (lanes !== warp.live) return 'wait';
  if (warp.clusterPhase < 0)
    throw machine.fault(
      'barrier mismatch',
      'waits for a cluster without having arrived',
      warp,
      0,
      instruction,
    );
  return warp.clusterPhase < machine.cluster.phase ? 'next' : 'wait';
};

export const clusterRules = {
  'barrier.cluster.arrive': arrive,
  'barrier.cluster.wait': wait,
} as const satisfies Readonly<Record<string, Operation>>;
