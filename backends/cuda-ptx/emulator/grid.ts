/** Runs clusters of a grid, one after the other, on one thread. */

import { manyWarps, warpOfDevice } from './global-races.ts';
import {
  type BlockRegion,
  countOf,
  type Extent,
  type GridPlan,
  type Region,
  threadsOf,
  warpsOf,
} from './grid-plan.ts';
import { header, lanesOfWarp, rankShift, shadow } from './layout.ts';
import type { Linker } from './link.ts';
import { type Block, Machine, type Printed, type Warp } from './machine.ts';
import type { Memory } from './memory.ts';
import { clockRowBytes, recordBytes, recordRowBytes } from './race-code.ts';
import { type Counts, runCluster } from './schedule.ts';
import { setSpecialRegisters } from './special-registers.ts';

export class GridRunner {
  readonly plan: GridPlan;
  private readonly memory: Memory;
  private readonly region: Region;
  private readonly machine: Machine;
  private readonly linker: Linker;
  /** What all warps have before their registers. */
  private readonly head: Int32Array;

  constructor(plan: GridPlan, linker: Linker, region: Region) {
    this.plan = plan;
    this.memory = linker.memory;
    this.region = region;
    this.linker = linker;
    this.machine = new Machine(plan, linker, region);
    this.head = headOf(plan, region);
  }

  /** What its threads printed, so far. */
  get printed(): readonly Printed[] {
    return this.machine.printed;
  }

  /**
   * @param number of the cluster: x goes fastest. Gives how many instructions its threads ran.
   * @throws EmulatorFault where a thread does what it may not; PtxError where something is not supported.
   */
  run(number: number): number {
    const { plan, machine } = this;
    const [across, down] = [0, 1].map((axis) => plan.grid[axis]! / plan.cluster[axis]!) as [number, number];
    const place = [number % across, Math.floor(number / across) % down, Math.floor(number / (across * down))];
    const first = place.map((each, axis) => each * plan.cluster[axis]!) as [number, number, number];
    const counts: Counts = { instructions: 0, most: plan.mostInstructions };
    const blocks = this.region.blocks.map((region, rank) => this.blockAt(first, rank, region));
    this.linker.running = machine;
    machine.begin(blocks, number);
    runCluster(machine, blocks, counts);
    return counts.instructions;
  }

  /** A block as it is at its start: nobody has written anything. */
  private blockAt(first: Extent, rank: number, region: BlockRegion): Block {
    const { plan, memory } = this;
    const { kernel, sharedBytes } = plan;
    const warps = warpsOf(plan);
    const [width, height] = plan.cluster;
    const inCluster: Extent = [
      rank % width,
      Math.floor(rank / width) % height,
      Math.floor(rank / (width * height)),
    ];
    const [x, y, z] = inCluster.map((each, axis) => first[axis]! + each) as [number, number, number];
    const { sharedBase, localBase, clocks, records, files } = region;
    this.allocateLocal(localBase, warps);
    memory.shadow.fill(shadow.allocated, sharedBase, sharedBase + sharedBytes);
    memory.bytes.fill(0, files, files + kernel.fileBytes * warps);
    memory.bytes.fill(0, clocks, clocks + clockRowBytes * warps);
    if (kernel.options.checksRaces) memory.bytes.fill(0, records, records + recordBytes(sharedBytes, warps));
    const block: Block = {
      ...{ index: [x, y, z], rank, warps: [], sharedBase, clocks, threads: threadsOf(plan) },
      barriers: new Map(),
    };
    for (let number = 0; number < warps; number++)
      block.warps.push(this.warpAt(block, number, inCluster, region));
    return block;
  }

  /** Of what threads have of local memory all that is not their stack. */
  private allocateLocal(start: number, warps: number): void {
    const { localBytes, staticLocal } = this.plan.kernel.needs;
    const { shadow: states } = this.memory;
    const end = start + localBytes * lanesOfWarp * warps;
    if (staticLocal === localBytes) states.fill(shadow.allocated, start, end);
    else
      for (let own = start; own < end; own += localBytes)
        states.fill(shadow.allocated, own, own + staticLocal);
  }

  private warpAt(block: Block, number: number, clusterIndex: Extent, region: BlockRegion): Warp {
    const { plan, memory } = this;
    const { kernel } = plan;
    const base = region.files + number * kernel.fileBytes;
    const clocks = region.clocks + number * clockRowBytes;
    const inside = Math.min(32, block.threads - 32 * number);
    const first = base >>> 2;
    memory.words.set(this.head, first);
    const set = (field: keyof typeof header, value: number): void => {
      memory.words[first + (header[field] >>> 2)] = value;
    };
    set('sharedBase', region.sharedBase);
    set('sharedWindow', block.rank << rankShift);
    set('localBase', region.localBase + number * 32 * kernel.needs.localBytes);
    set('warpNumber', number);
    set('clocks', clocks);
    set('records', region.records);
    memory.words[(clocks >>> 2) + number] = 1;
    const live = inside === 32 ? -1 : 2 ** inside - 1;
    const warp: Warp = {
      ...{ block, number, base, live, barrier: undefined },
      ...{ clusterPhase: -1, underWay: new Map(), metAt: 0 },
      fragments: [{ step: kernel.needs.start, mask: live, waits: false }],
      stacks: new Map(),
      ...{ pendingCopies: [], copyGroups: [], pendingBulk: [], bulkGroups: [] },
      ...{ pendingProducts: [], productGroups: [] },
    };
    if (plan.globalRecords !== undefined) set('warpOfDevice', warpOfDevice(plan, plan.globalRecords, warp));
    setSpecialRegisters(plan, memory, warp, clusterIndex);
    return warp;
  }
}

function headOf(plan: GridPlan, region: Region): Int32Array {
  const { globalRecords } = plan;
  const fields: { readonly [F in keyof typeof header]?: number } = {
    recordRowBytes: recordRowBytes(plan.sharedBytes),
    warpCount: warpsOf(plan),
    clusterBase: region.clusterBase,
    sharedStride: region.sharedStride,
    clusterBlocks: countOf(plan.cluster),
    sharedBytes: plan.sharedBytes,
    paramBase: plan.parameters,
    constBase: plan.constants,
    globalBase: plan.globals,
    manyWarps: globalRecords === undefined ? 0 : manyWarps(plan, globalRecords),
    warpsBefore: globalRecords?.warpsBefore ?? 0,
    globalRecords: globalRecords?.start ?? 0,
    globalRow: globalRecords?.row ?? 0,
  };
  const words = new Int32Array(header.bytes / 4);
  for (const [field, value] of Object.entries(fields))
    words[header[field as keyof typeof header] / 4] = value;
  return words;
}

/** What blocks left in a region, so that nobody takes it for something. */
export function clearRegion(plan: GridPlan, { shadow: states }: Memory, { blocks }: Region): void {
  const localBytes = plan.kernel.needs.localBytes * lanesOfWarp * warpsOf(plan);
  for (const { localBase, sharedBase } of blocks) {
    states.fill(shadow.none, localBase, localBase + localBytes);
    states.fill(shadow.none, sharedBase, sharedBase + plan.sharedBytes);
  }
}
