/** Whether two uses of a word of global memory, one of them to write it, are in an order. */
import type { Instruction } from '../ptx.ts';
import { bytesOf } from '../ptx-types.ts';
import type { EmulatorFault } from './fault.ts';
import { globalRows, recordedUse } from './global-race-code.ts';
import { countOf, type GridPlan, warpsOf } from './grid-plan.ts';
import { describeAddress, type Machine, type Warp } from './machine.ts';

/** Where the records of a grid are. */
export interface GlobalRecords {
  readonly start: number;
  /** Bytes of a row: no buffer ends behind it. */
  readonly row: number;
  /** Of the warps of all grids before. */
  readonly warpsBefore: number;
  /** For each block a word: the epoch in which it last used memory by an atomic or ordered instruction. */
  readonly blocks: number;
}

export function blockNumber({ grid }: GridPlan, [x, y, z]: readonly [number, number, number]): number {
  return x + grid[0] * (y + grid[1] * z);
}

export function warpOfDevice(plan: GridPlan, records: GlobalRecords, warp: Warp): number {
  return records.warpsBefore + 1 + blockNumber(plan, warp.block.index) * warpsOf(plan) + warp.number;
}

/** Behind those of the grid, of which each grid has one. */
export function manyWarps(plan: Pick<GridPlan, 'grid' | 'block'>, { warpsBefore }: GlobalRecords): number {
  return warpsBefore + countOf(plan.grid) * warpsOf(plan) + 1;
}

/** Blocks that hand something to each other do so by atomic or ordered uses of memory. */
export function noteSynchronised(machine: Machine, warp: Warp): void {
  const { globalRecords } = machine.plan;
  if (globalRecords === undefined) return;
  const place = globalRecords.blocks / 4 + blockNumber(machine.plan, warp.block.index);
  machine.memory.words[place] = machine.nextEpoch();
}

/** @throws EmulatorFault where another warp's use of the word is not known to come before. */
export function checkGlobalUse(
  machine: Machine,
  warp: Warp,
  address: number,
  isWrite: boolean,
  instruction: Instruction,
): void {
  const { plan } = machine;
  const records = plan.globalRecords!;
  const { words } = machine.memory;
  const own = warpOfDevice(plan, records, warp);
  const word = (row: number): number => words[(records.start + row * records.row + address) >>> 2]!;
  const uses: readonly (readonly [number, number])[] = [
    [word(globalRows.writer), word(globalRows.write)],
    ...(isWrite ? [[word(globalRows.reader), word(globalRows.read)] as const] : []),
  ];
  const used = usedBytes(instruction, address);
  for (const [found, epoch] of uses) {
    const { who, bytes } = recordedUse(found);
    if ((bytes & used) === 0) continue;
    if (who === manyWarps(plan, records)) {
      if (hasSynchronised(machine, warp, epoch)) continue;
      throw raceWith(machine, warp, 'several warps', address, instruction);
    }
    if (who <= records.warpsBefore || who === own) continue;
    const other = who - records.warpsBefore - 1;
    const [block, number] = [Math.floor(other / warpsOf(plan)), other % warpsOf(plan)];
    if (isOrdered(machine, warp, block, number, epoch)) continue;
    const [width, height] = plan.grid;
    const index = [block % width, Math.floor(block / width) % height, Math.floor(block / (width * height))];
    throw raceWith(machine, warp, `warp ${number} of block (${index.join(', ')})`, address, instruction);
  }
}

/** Of the word at the address, a bit for each. */
function usedBytes({ types, modifiers }: Instruction, address: number): number {
  const bytes = bytesOf(types[0]!) * Number(modifiers.vector?.slice(1) ?? 1);
  return bytes < 4 ? (2 ** bytes - 1) << (address & 3) : 15;
}

function raceWith(
  machine: Machine,
  warp: Warp,
  other: string,
  address: number,
  instruction: Instruction,
): EmulatorFault {
  const where = describeAddress(machine.plan.buffers, (1n << 32n) + BigInt(address), 'global', address);
  const what = `and ${other} use ${where}, one to write it, and nothing orders them`;
  return machine.fault('race', what, warp, 0, instruction);
}

/** Whether the warp has met or synchronised with anybody since. */
function hasSynchronised({ plan, memory }: Machine, warp: Warp, epoch: number): boolean {
  const own = plan.globalRecords!.blocks / 4 + blockNumber(plan, warp.block.index);
  return warp.metAt > epoch || memory.words[own]! > epoch;
}

/** Warps of a block meet at barriers; those of several are ordered where both blocks synchronised since. */
function isOrdered(machine: Machine, warp: Warp, block: number, number: number, epoch: number): boolean {
  const { plan, memory } = machine;
  const ownBlock = blockNumber(plan, warp.block.index);
  const synchronised = (which: number): boolean =>
    memory.words[plan.globalRecords!.blocks / 4 + which]! > epoch;
  if (block !== ownBlock) return synchronised(block) && synchronised(ownBlock);
  const met = warp.block.warps[number]?.metAt ?? 0;
  return (met > epoch && warp.metAt > epoch) || synchronised(block);
}
