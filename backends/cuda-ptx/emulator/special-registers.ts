/** What lanes find in special registers (`%tid.x`), of which all but clocks stay as they are. */
import type { SpecialName } from '../ptx.ts';
import { countOf, type Extent, type GridPlan } from './grid-plan.ts';
import type { Kernel } from './kernel.ts';
import { lanesOfWarp, windows } from './layout.ts';
import type { Warp } from './machine.ts';
import type { Memory } from './memory.ts';

/** @param clusterIndex of the block in its cluster. */
export function setSpecialRegisters(
  plan: GridPlan,
  { words }: Memory,
  warp: Warp,
  clusterIndex: Extent,
): void {
  const { kernel } = plan;
  const same = sameForAll(plan, warp, clusterIndex);
  for (const name of kernel.specials) {
    const at = (warp.base + kernel.slots.get(name)!) >>> 2;
    const ofLane = perLane[name];
    if (ofLane === undefined) {
      const value = same(name);
      if (value !== undefined) words.fill(value, at, at + lanesOfWarp);
    } else
      for (let lane = 0; lane < lanesOfWarp; lane++) words[at + lane] = ofLane(lane, warp.number, plan.block);
  }
}

/** Of each clock how many words a lane has, and which word of the time is in the first. */
const clocks: { readonly [name: string]: { readonly words: 1 | 2; readonly half: 0 | 1 } } = {
  ...{ clock: { words: 1, half: 0 }, clock_hi: { words: 1, half: 1 }, clock64: { words: 2, half: 0 } },
  ...{ globaltimer_lo: { words: 1, half: 0 }, globaltimer_hi: { words: 1, half: 1 } },
  globaltimer: { words: 2, half: 0 },
};

export function clocksIn(names: readonly SpecialName[]): readonly SpecialName[] {
  return names.filter((name) => Object.hasOwn(clocks, name));
}

/** All clocks show the instructions that threads of the cluster have run: the same in every run. */
export function setClocks(
  slots: Kernel['slots'],
  names: readonly SpecialName[],
  { words }: Memory,
  warp: Warp,
  time: number,
): void {
  const halves = [time | 0, Math.floor(time / 2 ** 32)];
  for (const name of names) {
    const { words: count, half } = clocks[name]!;
    const at = (warp.base + slots.get(name)!) >>> 2;
    for (let word = 0; word < count * lanesOfWarp; word++)
      words[at + word] = halves[count === 1 ? half : word % 2]!;
  }
}

type OfLane = (lane: number, warp: number, block: Extent) => number;

const perLane: { readonly [name: string]: OfLane } = {
  'tid.x': (lane, warp, [width]) => (32 * warp + lane) % width,
  'tid.y': (lane, warp, [width, height]) => Math.floor((32 * warp + lane) / width) % height,
  'tid.z': (lane, warp, [width, height]) => Math.floor((32 * warp + lane) / (width * height)),
  laneid: (lane) => lane,
  lanemask_eq: (lane) => 1 << lane,
  lanemask_lt: (lane) => (1 << lane) - 1,
  lanemask_le: (lane) => (2 << lane) - 1,
  lanemask_gt: (lane) => ~((2 << lane) - 1),
  lanemask_ge: (lane) => -(1 << lane),
};

function sameForAll(
  { grid, block, cluster: together, dynamicShared, sharedBytes, meetingPlace }: GridPlan,
  warp: Warp,
  clusterIndex: Extent,
): (name: SpecialName) => number | undefined {
  const isCooperative = meetingPlace !== undefined;
  const [cluster, inCluster]: readonly [Extent, Extent] = isCooperative
    ? [
        [1, 1, 1],
        [0, 0, 0],
      ]
    : [together, clusterIndex];
  const over = (extent: Extent): Extent => [
    Math.floor(extent[0] / cluster[0]),
    Math.floor(extent[1] / cluster[1]),
    Math.floor(extent[2] / cluster[2]),
  ];
  const values: { readonly [name: string]: number } = {
    warpid: warp.number,
    nwarpid: 64,
    smid: 0,
    nsmid: 1,
    gridid: 0,
    cluster_ctarank: isCooperative ? 0 : warp.block.rank,
    cluster_nctarank: countOf(cluster),
    is_explicit_cluster: cluster.some((each) => each > 1) ? 1 : 0,
    dynamic_smem_size: dynamicShared,
    envreg1: windows.global,
    envreg2: meetingPlace ?? 0,
    total_smem_size: sharedBytes,
    // Nothing is reserved: who uses it leaves shared memory.
    reserved_smem_offset_begin: sharedBytes,
    reserved_smem_offset_end: sharedBytes,
    reserved_smem_offset_cap: 0,
    reserved_smem_offset_0: sharedBytes,
    reserved_smem_offset_1: sharedBytes,
  };
  const extents: { readonly [name: string]: Extent } = {
    ntid: block,
    nctaid: grid,
    ctaid: warp.block.index,
    clusterid: over(warp.block.index),
    nclusterid: over(grid),
    cluster_ctaid: inCluster,
    cluster_nctaid: cluster,
  };
  return (name) => {
    const [base = '', axis] = name.split('.');
    return axis === undefined ? values[base] : extents[base]?.['xyz'.indexOf(axis)];
  };
}
